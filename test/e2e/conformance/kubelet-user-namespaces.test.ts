// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { toolOrReason } from "../../support/go-tools.ts";
import { type Kubelet, startKubelet } from "../../support/kubelet/kubelet.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { newerRuncOrReason } from "../../support/newer-runc.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const lacks = lacking(...podPrograms, "apt-get", "dpkg-deb");
const runc = lacks === false ? await newerRuncOrReason() : { skip: lacks };
const tool = runc.skip === false ? await toolOrReason("kubelet") : { skip: runc.skip };

suite("a kubelet's pod with hostUsers: false", { skip: tool.skip }, () => {
  let bed: Testbed;
  let kubelet: Kubelet;
  before(async () => {
    const handler = { binary_name: runc.skip === false ? runc.binary : "" };
    bed = await openTestbed({ config: { runtime: { handlers: { runc: handler } } } });
    kubelet = await startKubelet(tool.skip === false ? tool.path : "", bed.daemon);
  });
  after(async () => {
    await kubelet?.[Symbol.asyncDispose]();
    await bed?.finish();
  });

  test("owns its volumes and its hosts file, is probed, and ends", async () => {
    const { cri, images } = bed;
    const script = `cat /proc/self/uid_map; echo more >> /etc/hosts; touch /disk/x /memory/x
      stat -c '%n %u:%g' /disk/x /memory/x /about/name /etc/hosts; echo done; exec sleep 100000`;
    await kubelet.place({
      metadata: { name: "apart" },
      spec: {
        hostUsers: false,
        terminationGracePeriodSeconds: 1,
        volumes: [
          { name: "disk", emptyDir: {} },
          { name: "memory", emptyDir: { medium: "Memory" } },
          {
            name: "about",
            downwardAPI: {
              items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }],
            },
          },
        ],
        containers: [
          {
            name: "main",
            image: images.shell.reference,
            imagePullPolicy: "IfNotPresent",
            command: ["sh", "-c", script],
            readinessProbe: { exec: { command: ["test", "-O", "/disk/x"] }, periodSeconds: 1 },
            volumeMounts: [
              { name: "disk", mountPath: "/disk" },
              { name: "memory", mountPath: "/memory" },
              { name: "about", mountPath: "/about" },
            ],
          },
        ],
      },
    });
    const pod = await until(
      "the pod is ready",
      async () => {
        const [found] = await kubelet.api.pods();
        assert.equal(found?.status?.containerStatuses?.[0]?.ready, true);
        return found;
      },
      { timeoutMs: 240_000 },
    );
    const id = pod.status?.containerStatuses?.[0]?.containerID?.replace(/^.*\//, "") ?? "";
    // The probe passes before the last of it is said.
    const log = await until("it has said all", async () => {
      const said = await cri.logOf(id);
      return /F done\n/.test(said) && said;
    });
    assert.match(log, /F +0 +\d{5,} +65536\n/);
    for (const file of ["/disk/x", "/memory/x", "/about/name", "/etc/hosts"]) {
      assert.match(log, new RegExp(`F ${file} 0:0\n`));
    }
    await kubelet.withdrawAll();
    await until(
      "the pod has ended",
      async () => {
        const { items } = await cri.runtime.ListPodSandbox({});
        assert.ok(items.every(({ state }) => state === "SANDBOX_NOTREADY"));
        return true;
      },
      { timeoutMs: 180_000 },
    );
  });
});
