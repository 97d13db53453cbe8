// SPDX-License-Identifier: Apache-2.0
// kubectl, an API server and a kubelet in front of Berth: the whole way that a user's command goes.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { V1Container, V1Pod } from "@kubernetes/client-node";
import { askPort } from "../../support/ask-port.ts";
import { type GoToolName, toolOrReason } from "../../support/go-tools.ts";
import { type ControlPlane, startControlPlane } from "../../support/kubelet/control-plane.ts";
import { type Kubelet, startKubelet } from "../../support/kubelet/kubelet.ts";
import { whyItStays } from "../../support/kubelet/why-it-stays.ts";
import { findProgram, lacking, podPrograms } from "../../support/lacking.ts";
import { processesInCgroup } from "../../support/processes.ts";
import { freePort } from "../../support/registry.ts";
import { LiveProgram, passThrough } from "../../support/streaming/live-program.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const programs: Partial<Record<GoToolName, string>> = {};

/** A reason to skip; false when all is built. */
async function missing(): Promise<string | false> {
  const lack = lacking(...podPrograms, "etcd") || (!existsSync("/dev/kmsg") && "needs /dev/kmsg");
  if (lack !== false) return lack;
  for (const name of ["kubelet", "kube-apiserver", "kubectl"] as const) {
    const tool = await toolOrReason(name);
    if (tool.skip !== false) return tool.skip;
    programs[name] = tool.path;
  }
  return false;
}

const patience = { timeoutMs: 240_000, everyMs: 250 } as const;
/** Bytes each way; a GiB by hand. */
const bulk = Number(process.env["BERTH_TEST_STREAM_BYTES"] ?? 64 << 20);
/** The two ways from kubectl to the API server. */
const transports = { WebSocket: "true", SPDY: "false" } as const;

suite("kubectl, an API server and a kubelet on Berth", { skip: await missing() }, () => {
  let bed: Testbed;
  let plane: ControlPlane;
  let kubelet: Kubelet;
  before(async () => {
    bed = await openTestbed();
    plane = await startControlPlane({
      etcd: findProgram("etcd") ?? "",
      apiServer: programs["kube-apiserver"] ?? "",
      kubectl: kubectl(),
    });
    const flags = ["--kubeconfig", plane.kubeconfig];
    kubelet = await startKubelet(programs.kubelet ?? "", bed.daemon, flags);
    await until(
      "the node is ready",
      async () => (await get("node", node)).includes("True"),
      patience,
    );
    await apply(pod("shell", [sleeper(), reader()]));
    await must("wait", "--for=condition=Ready", "pod/shell", "--timeout=240s");
  });
  after(async () => {
    try {
      await plane?.kubectl(["delete", "pod", "--all", "--grace-period=1", "--timeout=60s"]);
      await kubelet?.[Symbol.asyncDispose]();
      await plane?.[Symbol.asyncDispose]();
    } finally {
      await bed?.cri.removeAllPods();
      await bed?.finish();
    }
  });

  const node = "localhost";
  const kubectl = (): string => programs.kubectl ?? "";
  const must = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await plane.kubectl(args, { timeoutMs: 300_000 });
    assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}${stdout}`);
    return stdout;
  };
  const get = (kind: string, name: string): Promise<string> =>
    must("get", kind, name, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`);
  const apply = async (manifest: V1Pod): Promise<void> => {
    const input = JSON.stringify(manifest);
    const { code, stderr } = await plane.kubectl(["apply", "-f", "-"], { input });
    assert.equal(code, 0, stderr);
  };
  const pod = (name: string, containers: V1Container[]): V1Pod => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    // There is no scheduler.
    spec: { nodeName: node, terminationGracePeriodSeconds: 1, containers },
  });
  const sleeper = () => ({
    name: "main",
    image: bed.images.shell.reference,
    command: [
      "sh",
      "-c",
      "echo up; mkdir -p /www; echo page >/www/index.html; httpd -f -p 8080 -h /www",
    ],
    resources: { limits: { memory: "256Mi" } },
  });
  const reader = () => ({
    name: "reader",
    image: bed.images.shell.reference,
    command: ["sh", "-c", 'while read -r line; do echo "got $line"; done'],
    stdin: true,
  });

  for (const [transport, websockets] of Object.entries(transports)) {
    const env = {
      KUBECTL_REMOTE_COMMAND_WEBSOCKETS: websockets,
      KUBECTL_PORT_FORWARD_WEBSOCKETS: websockets,
    };
    const live = (...args: readonly string[]): LiveProgram => {
      const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      return new LiveProgram("env", [...settings, kubectl(), ...plane.flags, ...args]);
    };

    test(`exec over ${transport}: streams, exit codes, standard input`, async () => {
      const script = "cat; echo oops >&2; exit 3";
      const { code, stdout, stderr } = await plane.kubectl(
        ["exec", "-i", "shell", "-c", "main", "--", "sh", "-c", script],
        { env, input: "through\n" },
      );
      assert.deepEqual([code, stdout], [3, "through\n"]);
      assert.match(stderr, /^oops\n/);
      const none = await plane.kubectl(["exec", "shell", "-c", "main", "--", "no-such"], { env });
      assert.ok(none.code > 0);
      assert.match(none.stderr, /no-such/);
    });

    test(`bulk through exec over ${transport} is the same at the end`, async () => {
      const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      const exec = ["exec", "-i", "shell", "-c", "main", "--", "cat"];
      const args = [...settings, kubectl(), ...plane.flags, ...exec];
      const { code, sentSum, receivedSum, receivedBytes } = await passThrough("env", args, bulk);
      assert.deepEqual([code, receivedBytes, receivedSum], [0, bulk, sentSum]);
    });

    test(`cp over ${transport}, there and back`, async () => {
      const [there, back] = ["there", "back"].map((name) =>
        path.join(bed.folder, `${name} ${transport}`),
      ) as [string, string];
      const bytes = Buffer.alloc(3 << 20, "berth ");
      await writeFile(there, bytes);
      for (const words of [
        [there, "shell:/tmp/copy"],
        ["shell:/tmp/copy", back],
      ]) {
        const { code, stderr } = await plane.kubectl(["cp", "-c", "main", ...words], { env });
        assert.equal(code, 0, stderr);
      }
      const sum = (data: Buffer): string => createHash("sha256").update(data).digest("hex");
      assert.equal(sum(await readFile(back)), sum(bytes));
    });

    test(`attach over ${transport}: input, output, and the container lives on`, async () => {
      await using attached = live("attach", "-i", "shell", "-c", "reader");
      await until(
        "the container answers",
        () => {
          attached.write(`hello ${transport}\n`);
          return attached.stdout.includes(`got hello ${transport}\n`);
        },
        { everyMs: 200, timeoutMs: 120_000 },
      );
      attached.child.kill("SIGTERM");
      await attached.ended;
      await until("the log has it, too", async () => {
        const log = await must("logs", "shell", "-c", "reader");
        return log.includes(`got hello ${transport}\n`);
      });
      assert.match(await must("get", "pod", "shell", "-o", "wide"), /2\/2 +Running +0/);
    });

    test(`port-forward over ${transport}`, async () => {
      const port = await freePort();
      await using forward = live("port-forward", "shell", `${port}:8080`);
      await forward.says(/Forwarding from 127\.0\.0\.1/);
      const request = "GET /index.html HTTP/1.0\r\n\r\n";
      const answers = await Promise.all(Array.from({ length: 4 }, () => askPort(port, request)));
      for (const answer of answers) assert.match(answer, /200 OK[\s\S]*page\n$/);
    });
  }

  test("debug: an ephemeral container sees its target's processes", async () => {
    const image = bed.images.shell.reference;
    const flags = ["--target=main", "--container=probe", "--profile=general", "--attach=false"];
    const script = 'ps; echo "end"; sleep 1000';
    await must("debug", "shell", `--image=${image}`, ...flags, "--", "sh", "-c", script);
    await until(
      "the probe has looked",
      async () => {
        const { stdout } = await plane.kubectl(["logs", "shell", "-c", "probe"]);
        return stdout.includes("end") && stdout.includes("httpd");
      },
      patience,
    );
  });

  test("logs, and delete leaves nothing running", async () => {
    assert.equal(await must("logs", "shell", "-c", "main", "--tail=1"), "up\n");
    await must("delete", "pod", "shell", "--timeout=240s").catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${await whyItStays("shell", { bed, plane, kubelet })}`);
    });
    // The kubelet's garbage collection removes the rest within a minute.
    const { items } = await bed.cri.runtime.ListPodSandbox({});
    assert.deepEqual(
      items.filter(({ state }) => state !== "SANDBOX_NOTREADY"),
      [],
    );
    await until("no process is left", () => {
      assert.deepEqual(processesInCgroup(bed.daemon.territory.cgroupParent), []);
      return true;
    });
  });
});
