// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { after, before, suite, test } from "node:test";
import {
  type KubernetesObject,
  PortForward,
  type V1ContainerStatus,
  type V1Probe,
} from "@kubernetes/client-node";
import {
  type ClusterClient,
  isReady,
  type NamespacedClient,
  patience,
  strategicMerge,
} from "../../../support/cluster/client.ts";
import type { Cluster } from "../../../support/cluster/cluster.ts";
import {
  type Plain,
  pod,
  shellContainer,
  webContainer,
} from "../../../support/cluster/manifests.ts";
import { tarBytes } from "../../../support/tar-bytes.ts";
import { until } from "../../../support/until.ts";

/** What one pod can have and what a user does with it. */
export function pods(cluster: () => Cluster): void {
  suite("pods", () => {
    let own: NamespacedClient;
    let client: ClusterClient;
    before(async () => {
      own = await cluster().client.inNamespace("pods");
      client = own.client;
    });
    after(() => own?.[Symbol.asyncDispose]());

    const shell = (): string => cluster().images.shell;
    const quick = { periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 5 };
    /** Of what is to go on: it must not end because a machine is slow. */
    const patient = { ...quick, timeoutSeconds: 60 };
    const ready = (name: string) =>
      until(`${name} is ready`, async () => isReady(await client.pod(name)), patience);
    const containerOf = async (name: string, container = "main"): Promise<V1ContainerStatus> => {
      const { status } = await client.pod(name);
      const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
      const found = all.find((it) => it.name === container);
      if (found === undefined) throw new Error(`${name} has no status of ${container} yet`);
      return found;
    };

    test("volumes: ConfigMap, Secret, projected; a change arrives in what runs", async () => {
      await client.create(
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "settings" },
          data: { colour: "red" },
        } as KubernetesObject,
        {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: "keys" },
          stringData: { key: "s3cret" },
        } as KubernetesObject,
        pod("files", {
          securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 3000 },
          containers: [
            shellContainer(shell(), "sleep 100000", {
              env: [
                { name: "KEY", valueFrom: { secretKeyRef: { name: "keys", key: "key" } } },
                { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
              ],
              volumeMounts: [
                { name: "settings", mountPath: "/settings" },
                { name: "settings", mountPath: "/fixed/colour", subPath: "colour" },
                { name: "keys", mountPath: "/keys", readOnly: true },
                { name: "all", mountPath: "/all" },
                { name: "shared", mountPath: "/shared" },
              ],
            }),
          ],
          volumes: [
            { name: "settings", configMap: { name: "settings" } },
            { name: "keys", secret: { secretName: "keys", defaultMode: 0o440 } },
            { name: "shared", emptyDir: { medium: "Memory" } },
            {
              name: "all",
              projected: {
                sources: [
                  { configMap: { name: "settings" } },
                  { secret: { name: "keys" } },
                  {
                    downwardAPI: {
                      items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }],
                    },
                  },
                  {
                    serviceAccountToken: {
                      path: "token",
                      audience: "test",
                      expirationSeconds: 600,
                    },
                  },
                ],
              },
            },
          ],
        }),
      );
      await ready("files");
      const script =
        'cat /settings/colour /fixed/colour /keys/key /all/name; echo " $KEY $NODE"; ls /all; stat -c "%g %a" -L /keys/key; id -G; touch /shared/x && stat -c %g /shared/x; wc -c </all/token';
      const said = await client.must("files", "sh", "-c", script);
      const node = (await client.pod("files")).spec?.nodeName;
      const lines = said.trim().split("\n");
      assert.equal(lines[0], `redreds3cretfiles s3cret ${node}`);
      assert.deepEqual(lines.slice(1, 9), [
        "colour",
        "key",
        "name",
        "token",
        "3000 440",
        "1000 3000",
        "3000",
        lines[8],
      ]);
      assert.ok(Number(lines[8]) > 100);
      await client.objects.patch({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "settings" },
        data: { colour: "blue" },
      } as KubernetesObject);
      await until(
        "the change is there",
        async () =>
          (await client.must("files", "cat", "/settings/colour", "/all/colour")) === "blueblue",
        patience,
      );
      // A file by subPath stays what it was.
      assert.equal(await client.must("files", "cat", "/fixed/colour"), "red");
    });

    test("what metrics-server asks kubelets for has the pod's figures", async () => {
      const { namespace } = client;
      const node = (await client.pod("files")).spec?.nodeName ?? "";
      const sample = (name: string): RegExp =>
        new RegExp(`^${name}\\{namespace="${namespace}",pod="files"\\} \\S*[1-9]`, "m");
      await until(
        "it is counted",
        async () => {
          const asked = { name: node, path: "metrics/resource" };
          const text = await client.core.connectGetNodeProxyWithPath(asked);
          return ["pod_cpu_usage_seconds_total", "pod_memory_working_set_bytes"].every((name) =>
            sample(name).test(text),
          );
        },
        patience,
      );
    });

    test("probes of each kind: what fails is restarted or left out, what passes is not", async () => {
      const served = "mkdir /www; touch /www/ok /tmp/ok; exec httpd -f -p 8080 -h /www";
      const probed = (
        name: string,
        kind: "livenessProbe" | "readinessProbe",
        probe: Plain<V1Probe>,
      ) =>
        pod(name, {
          containers: [shellContainer(shell(), served, { [kind]: { ...quick, ...probe } })],
        });
      const passing: Record<string, Plain<V1Probe>> = {
        exec: { exec: { command: ["cat", "/tmp/ok"] } },
        http: { httpGet: { path: "/ok", port: 8080 } },
        tcp: { tcpSocket: { port: 8080 } },
      };
      const failing: Record<string, Plain<V1Probe>> = {
        exec: { exec: { command: ["false"] } },
        http: { httpGet: { path: "/none", port: 8080 } },
        tcp: { tcpSocket: { port: 8081 } },
        grpc: { grpc: { port: 8080 } },
        slow: { exec: { command: ["sleep", "30"] }, timeoutSeconds: 1 },
      };
      await client.create(
        ...Object.entries(passing).map(([kind, probe]) =>
          probed(`pass-${kind}`, "readinessProbe", probe),
        ),
        ...Object.entries(failing).map(([kind, probe]) =>
          probed(`fail-${kind}`, "livenessProbe", probe),
        ),
        pod("pass-grpc", {
          containers: [
            {
              name: "main",
              image: cluster().images.agnhost,
              args: ["grpc-health-checking"],
              readinessProbe: { ...quick, grpc: { port: 5000 } },
            },
          ],
        }),
        pod("late", {
          containers: [
            shellContainer(shell(), `sleep 4; ${served}`, {
              startupProbe: { ...passing["tcp"], periodSeconds: 1, failureThreshold: 60 },
              livenessProbe: { ...patient, ...passing["tcp"] },
            }),
          ],
        }),
      );
      for (const kind of [...Object.keys(passing), "grpc"]) await ready(`pass-${kind}`);
      for (const kind of Object.keys(failing)) {
        await until(
          `fail-${kind} has been restarted`,
          async () => (await containerOf(`fail-${kind}`)).restartCount > 0,
          patience,
        );
      }
      await ready("late");
      assert.equal((await containerOf("late")).restartCount, 0);
      await client.must("pass-exec", "rm", "-f", "/tmp/ok");
      await until("it is left out", async () => !isReady(await client.pod("pass-exec")), patience);
      assert.equal((await containerOf("pass-exec")).restartCount, 0);
      for (const name of [...Object.keys(failing).map((kind) => `fail-${kind}`), "late"]) {
        await client.remove("Pod", "v1", name);
      }
    });

    test("init containers in their order, a sidecar, and hooks", async () => {
      const write = (word: string): string => `echo ${word} >>/shared/log`;
      const volumeMounts = [{ name: "shared", mountPath: "/shared" }];
      const container = (name: string, script: string, more = {}) =>
        shellContainer(shell(), script, { name, volumeMounts, ...more });
      await client.create(
        pod("ordered", {
          terminationGracePeriodSeconds: 120,
          nodeName: cluster().nodes[0].name,
          initContainers: [
            container("first", write("first")),
            container(
              "sidecar",
              `${write("sidecar")}; trap '${write("sidecar-ends")}; exit 0' TERM; while :; do sleep 0.1; done`,
              {
                restartPolicy: "Always",
              },
            ),
            // Not before the sidecar has written, which runs beside it.
            container(
              "second",
              `until grep -q sidecar /shared/log; do sleep 0.1; done; ${write("second")}`,
            ),
          ],
          containers: [
            container(
              "main",
              `trap '${write("main-ends")}; exit 0' TERM; touch /trapping; while :; do sleep 0.1; done`,
              {
                // A signal that came before its trap would be lost on it.
                readinessProbe: { ...patient, exec: { command: ["cat", "/trapping"] } },
                lifecycle: {
                  postStart: { exec: { command: ["sh", "-c", write("started")] } },
                  preStop: { exec: { command: ["sh", "-c", write("stopping")] } },
                },
              },
            ),
          ],
          volumes: [
            { name: "shared", hostPath: { path: "/var/lib/ordered", type: "DirectoryOrCreate" } },
          ],
        }),
      );
      await ready("ordered");
      await client.remove("Pod", "v1", "ordered");
      const read = (): Promise<string> =>
        cluster().nodes[0].box.must("cat", ["/var/lib/ordered/log"]);
      await until("all has ended", async () => (await read()).includes("sidecar-ends"), patience);
      const words = "first sidecar second started stopping main-ends sidecar-ends".split(" ");
      assert.deepEqual((await read()).trim().split("\n"), words);
    });

    test("a container beyond its memory is OOMKilled, and told so", async () => {
      const eater = "x=a; while :; do x=$x$x; done";
      await client.create(
        pod("eater", {
          restartPolicy: "Never",
          containers: [
            shellContainer(shell(), eater, { resources: { limits: { memory: "32Mi" } } }),
          ],
        }),
      );
      const ended = await until(
        "it is killed",
        async () => (await containerOf("eater")).state?.terminated,
        patience,
      );
      assert.deepEqual([ended.reason, ended.exitCode], ["OOMKilled", 137]);
    });

    test("an image that is missing, and then is not", async () => {
      const image = shell().replace("shell:1", "late:1");
      await client.create(pod("waiting", { containers: [shellContainer(image, "sleep 100000")] }));
      await until(
        "it backs off",
        async () => (await containerOf("waiting")).state?.waiting?.reason === "ImagePullBackOff",
        patience,
      );
      await cluster().registry.pushShell("late:1");
      await ready("waiting");
    });

    test("a resize in place: the limits change, the container goes on", async () => {
      const resources = (cpu: string, memory: string) => ({
        requests: { cpu: "10m", memory: "16Mi" },
        limits: { cpu, memory },
      });
      await client.create(
        pod("growing", {
          containers: [
            shellContainer(shell(), "sleep 100000", { resources: resources("100m", "64Mi") }),
          ],
        }),
      );
      await ready("growing");
      const { containerID } = await containerOf("growing");
      await client.core.patchNamespacedPodResize(
        {
          name: "growing",
          namespace: client.namespace,
          body: { spec: { containers: [{ name: "main", resources: resources("300m", "128Mi") }] } },
        },
        strategicMerge(),
      );
      await until(
        "the status has it",
        async () => {
          const { resources: seen } = await containerOf("growing");
          return seen?.limits?.["cpu"] === "300m" && seen.limits["memory"] === "128Mi";
        },
        patience,
      );
      const files =
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max";
      const said = await client.must("growing", "sh", "-c", files);
      assert.match(said, /^134217728\n30000\b/);
      const after = await containerOf("growing");
      assert.deepEqual([after.containerID, after.restartCount], [containerID, 0]);
    });

    test("a RuntimeClass leads to the other handler", async () => {
      await client.create(
        {
          apiVersion: "node.k8s.io/v1",
          kind: "RuntimeClass",
          metadata: { name: "crun" },
          handler: "crun",
        } as KubernetesObject,
        {
          apiVersion: "node.k8s.io/v1",
          kind: "RuntimeClass",
          metadata: { name: "none" },
          handler: "no-such",
        } as KubernetesObject,
        pod("other", { runtimeClassName: "crun", containers: [webContainer(shell())] }),
        pod("nowhere", { runtimeClassName: "none", containers: [webContainer(shell())] }),
      );
      await ready("other");
      const { metadata, spec } = await client.pod("other");
      const node = cluster().nodes.find(({ name }) => name === spec?.nodeName);
      const cri = node?.peer.client("runtime.v1.RuntimeService");
      const uid = metadata?.uid ?? "";
      const { items } = (await cri?.ListPodSandbox({
        filter: { labelSelector: { "io.kubernetes.pod.uid": uid } },
      })) ?? { items: [] };
      assert.deepEqual([...new Set(items.map((it) => it.runtimeHandler))], ["crun"]);
      await until(
        "the one without a handler is told of",
        async () => (await client.events("nowhere")).some((it) => /no-such/.test(it.message ?? "")),
        patience,
      );
    });

    suite("by hand", () => {
      before(async () => {
        const answer = 'while read -r line; do echo "got $line"; done';
        await client.create(
          pod("hand", {
            containers: [
              webContainer(shell()),
              shellContainer(
                shell(),
                `i=0; while [ $i -lt 100000 ]; do echo "line $i"; i=$((i+1)); sleep 0.05; done`,
                { name: "talker" },
              ),
              shellContainer(shell(), answer, { name: "reader", stdin: true }),
            ],
          }),
        );
        await ready("hand");
      });

      test("exec: output, error output, exit codes, standard input", async () => {
        const script = "cat; echo oops >&2; exit 7";
        const input = Buffer.from("through\n");
        const { code, stdout, stderr } = await client.exec("hand", ["sh", "-c", script], { input });
        assert.deepEqual([code, stdout, stderr], [7, "through\n", "oops\n"]);
        assert.notEqual((await client.exec("hand", ["no-such"])).code, 0);
      });

      test("a copy there and back, as tar through exec", async () => {
        const content = randomBytes(2 << 20);
        const there = await client.exec("hand", ["tar", "xf", "-", "-C", "/tmp"], {
          input: tarBytes([{ name: "copied", content, mode: 0o644 }]),
        });
        assert.equal(there.code, 0, there.stderr);
        const back = await client.exec("hand", ["cat", "/tmp/copied"]);
        assert.equal(sum(back.bytes), sum(content));
      });

      test("a log as it grows, without a gap", async () => {
        using log = await client.followLog("hand", "talker");
        const numbers = await until(
          "forty lines are there",
          () => {
            const found = [...log.text().matchAll(/line (\d+)\n/g)].map(([, at]) => Number(at));
            return found.length >= 40 && found;
          },
          patience,
        );
        assert.deepEqual(
          numbers,
          numbers.map((_, index) => index),
        );
      });

      test("a port forwarded", async () => {
        const forward = new PortForward(client.config);
        await using server = await listen((socket) => {
          forward
            .portForward(client.namespace, "hand", [8080], socket, null, socket)
            .catch((error: Error) => socket.destroy(error));
        });
        for (let turn = 0; turn < 3; turn += 1) {
          const answer = await fetch(`http://127.0.0.1:${server.port}/`, {
            headers: { connection: "close" },
            signal: AbortSignal.timeout(60_000),
          });
          assert.equal(await answer.text(), "hand\n");
        }
      });

      test("an ephemeral container sees its target's processes", async () => {
        const { namespace } = client;
        const probe = {
          ...shellContainer(shell(), "ps; echo end; sleep 100000", { name: "probe" }),
          targetContainerName: "main",
        };
        await client.core.patchNamespacedPodEphemeralcontainers(
          { name: "hand", namespace, body: { spec: { ephemeralContainers: [probe] } } },
          strategicMerge(),
        );
        await until(
          "it has looked",
          async () => /httpd[\s\S]*end\n/.test(await client.log("hand", "probe")),
          patience,
        );
      });
    });
  });
}

function sum(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function listen(
  connected: (socket: net.Socket) => void,
): Promise<AsyncDisposable & { readonly port: number }> {
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    connected(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
