// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import {
  BatchV1Api,
  type KubernetesObject,
  PolicyV1Api,
  type V1Pod,
} from "@kubernetes/client-node";
import {
  type ClusterClient,
  isReady,
  type NamespacedClient,
  patience,
} from "../../../support/cluster/client.ts";
import type { Cluster } from "../../../support/cluster/cluster.ts";
import {
  deployment,
  service,
  shellContainer,
  template,
  webContainer,
} from "../../../support/cluster/manifests.ts";
import { until } from "../../../support/until.ts";

/** What controllers make of pods: each kind of a workload, quotas, a drain. */
export function controllers(cluster: () => Cluster): void {
  suite("workloads", () => {
    let own: NamespacedClient;
    let client: ClusterClient;
    before(async () => {
      own = await cluster().client.inNamespace("workloads");
      client = own.client;
      // Its first turn may be a minute away: what it made is looked at last.
      await client.create(cronJob(cluster().images.shell));
    });
    after(() => own?.[Symbol.asyncDispose]());

    test("a StatefulSet: names, a disk each, and both are kept", async () => {
      const { images, nodes } = cluster();
      const [node] = nodes;
      for (const index of [0, 1]) {
        await node.box.must("mkdir", ["-p", `/var/lib/volumes/${index}`]);
        await client.create(localVolume(`data-${index}`, node.name, `/var/lib/volumes/${index}`));
      }
      await client.create(
        service("db", { port: 8080 }, { clusterIP: "None" }),
        statefulSet("db", images.shell),
      );
      await client.readyPods("app=db", 2);
      await client.must("db-0", "sh", "-c", "echo kept >/data/file");
      const { uid } = (await client.pod("db-0")).metadata ?? {};
      await client.remove("Pod", "v1", "db-0");
      await until(
        "another db-0 is ready",
        async () => {
          const pod = await client.pod("db-0");
          return pod.metadata?.uid !== uid && isReady(pod);
        },
        patience,
      );
      assert.equal(await client.must("db-0", "cat", "/data/file"), "kept\n");
      await until(
        "its name leads to it",
        async () => {
          const found = await client.must(
            "db-1",
            "nslookup",
            "db-0.db.workloads.svc.cluster.local",
          );
          return found.includes((await client.pod("db-0")).status?.podIP ?? "none");
        },
        patience,
      );
    });

    test("a DaemonSet: one on each node, by a port of the host", async () => {
      const { images, nodes } = cluster();
      const spec = {
        containers: [
          webContainer(images.shell, {
            ports: [{ name: "http", containerPort: 8080, hostPort: 18080 }],
          }),
        ],
      };
      await client.create({
        apiVersion: "apps/v1",
        kind: "DaemonSet",
        metadata: { name: "agent" },
        spec: { selector: { matchLabels: { app: "agent" } }, template: template("agent", spec) },
      } as KubernetesObject);
      const pods = await client.readyPods("app=agent", nodes.length);
      for (const { name, address } of nodes) {
        const here = pods.find((pod) => pod.spec?.nodeName === name);
        await until(
          `${name} answers at the port`,
          async () => {
            const answer = await fetch(`http://${address}:18080/`, {
              headers: { connection: "close" },
              signal: AbortSignal.timeout(30_000),
            });
            assert.equal((await answer.text()).trim(), here?.metadata?.name);
            return true;
          },
          patience,
        );
      }
    });

    test("a Job: retries what fails, and its sidecar ends with it", async () => {
      const { images } = cluster();
      const script = 'echo "part $JOB_COMPLETION_INDEX"; test "$(cat /shared/ready)" = yes';
      const sidecar = shellContainer(
        images.shell,
        "trap 'echo ended; exit 0' TERM; echo yes >/shared/ready; while :; do sleep 0.1; done",
        {
          name: "sidecar",
          restartPolicy: "Always",
          startupProbe: { exec: { command: ["cat", "/shared/ready"] }, periodSeconds: 1 },
          volumeMounts: [{ name: "shared", mountPath: "/shared" }],
        },
      );
      await client.create(
        job("parts", {
          completionMode: "Indexed",
          completions: 3,
          parallelism: 2,
          template: template("parts", {
            restartPolicy: "Never",
            // The sidecar's own end is looked at: it has time for it.
            terminationGracePeriodSeconds: 60,
            volumes: [{ name: "shared", emptyDir: {} }],
            initContainers: [sidecar],
            containers: [
              shellContainer(images.shell, script, {
                volumeMounts: [{ name: "shared", mountPath: "/shared" }],
              }),
            ],
          }),
        }),
        job("unlucky", {
          backoffLimit: 1,
          template: template("unlucky", {
            restartPolicy: "Never",
            containers: [shellContainer(images.shell, "echo no luck; exit 3")],
          }),
        }),
      );
      const { namespace } = client;
      const read = async (name: string) =>
        (await client.batch.readNamespacedJob({ name, namespace })).status ?? {};
      await until(
        "all parts are done",
        async () => (await read("parts")).succeeded === 3,
        patience,
      );
      const pods = await client.pods("app=parts");
      const logs = await Promise.all(pods.map((pod) => client.log(pod.metadata?.name ?? "")));
      assert.deepEqual(logs.toSorted(), ["part 0\n", "part 1\n", "part 2\n"]);
      for (const { status } of pods) {
        const { exitCode, reason } = status?.initContainerStatuses?.[0]?.state?.terminated ?? {};
        assert.deepEqual([status?.phase, exitCode, reason], ["Succeeded", 0, "Completed"]);
      }
      await until(
        "the other has failed for good",
        async () => {
          const { conditions, failed } = await read("unlucky");
          return conditions?.some((it) => it.type === "Failed") && failed === 2;
        },
        patience,
      );
      const codes = (await client.pods("app=unlucky")).map(
        ({ status }) => status?.containerStatuses?.[0]?.state?.terminated?.exitCode,
      );
      assert.deepEqual(codes, [3, 3]);
    });

    test("a quota refuses what is beyond it, and a limit range fills in what is left out", async () => {
      await using limited = await cluster().client.inNamespace("limited");
      const { client: within } = limited;
      await within.create(
        {
          apiVersion: "v1",
          kind: "ResourceQuota",
          metadata: { name: "q" },
          spec: quota,
        } as KubernetesObject,
        {
          apiVersion: "v1",
          kind: "LimitRange",
          metadata: { name: "l" },
          spec: range,
        } as KubernetesObject,
      );
      await until(
        "the quota counts",
        async () => {
          const { namespace } = within;
          const { status } = await within.core.readNamespacedResourceQuota({
            name: "q",
            namespace,
          });
          return status?.hard?.["limits.memory"] === "64Mi";
        },
        patience,
      );
      const { shell } = cluster().images;
      const spec = { containers: [shellContainer(shell, "sleep 100000")] };
      await within.create(deployment("greedy", 3, spec));
      await until(
        "two are there, the third is refused",
        async () => {
          const { namespace } = within;
          const { status } = await within.apps.readNamespacedDeployment({
            name: "greedy",
            namespace,
          });
          const failure = status?.conditions?.find((it) => it.type === "ReplicaFailure");
          const isRefused = /exceeded quota: q/.test(failure?.message ?? "");
          if (status?.readyReplicas === 2 && isRefused) return true;
          throw new Error(JSON.stringify(status));
        },
        patience,
      );
      const [pod] = await within.readyPods("app=greedy", 2);
      const limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max";
      const script = `${limit} 2>/dev/null || true`;
      assert.equal(
        (await within.must(pod?.metadata?.name ?? "", "sh", "-c", script)).trim(),
        String(32 << 20),
      );
    });

    test("a drain goes as far as the budget lets it, and to the end when it may", async () => {
      const { images, nodes } = cluster();
      const [, leaving] = nodes;
      const { namespace } = client;
      await client.create(deployment("steady", 4, { containers: [webContainer(images.shell)] }), {
        apiVersion: "policy/v1",
        kind: "PodDisruptionBudget",
        metadata: { name: "steady" },
        spec: { minAvailable: 3, selector: { matchLabels: { app: "steady" } } },
      } as KubernetesObject);
      await client.readyPods("app=steady", 4);
      const policy = client.config.makeApiClient(PolicyV1Api);
      await until(
        "the budget counts",
        async () => {
          const budget = await policy.readNamespacedPodDisruptionBudget({
            name: "steady",
            namespace,
          });
          return budget.status?.disruptionsAllowed === 1;
        },
        patience,
      );
      const here = async (): Promise<V1Pod[]> =>
        (await client.pods("app=steady")).filter(({ spec }) => spec?.nodeName === leaving.name);
      const wereHere = (await here()).length;
      await setUnschedulable(client, leaving.name, true);
      let refused = 0;
      await until(
        "all have gone to the other node",
        async () => {
          const left = await here();
          for (const { metadata } of left.filter(
            (it) => it.metadata?.deletionTimestamp === undefined,
          )) {
            const name = metadata?.name ?? "";
            const body = {
              apiVersion: "policy/v1",
              kind: "Eviction",
              metadata: { name, namespace },
            };
            await client.core
              .createNamespacedPodEviction({ name, namespace, body })
              .catch((error: { code?: number }) => {
                if (error.code !== 429) throw error;
                refused += 1;
              });
          }
          return left.length === 0;
        },
        patience,
      );
      assert.ok(refused > 0, `the budget refused none of ${wereHere} on ${leaving.name}`);
      const moved = await client.readyPods("app=steady", 4);
      assert.deepEqual([...new Set(moved.map(({ spec }) => spec?.nodeName))], [nodes[0].name]);
      await setUnschedulable(client, leaving.name, false);
    });

    test("a CronJob has had its turn", async () => {
      const { namespace } = client;
      const batch = client.config.makeApiClient(BatchV1Api);
      await until(
        "a job of it has succeeded",
        async () => {
          const { items } = await batch.listNamespacedJob({ namespace });
          return items.some((it) => it.metadata?.name?.startsWith("tick-") && it.status?.succeeded);
        },
        { timeoutMs: 300_000, everyMs: 500 },
      );
    });
  });
}

const quota = { hard: { "limits.memory": "64Mi", pods: "5" } };
// The client gives names that are words of JavaScript an underscore in front.
const range = { limits: [{ type: "Container", _default: { memory: "32Mi" } }] };

async function setUnschedulable(
  { objects }: ClusterClient,
  name: string,
  unschedulable: boolean,
): Promise<void> {
  const node = { apiVersion: "v1", kind: "Node", metadata: { name }, spec: { unschedulable } };
  await objects.patch(node);
}

function job(name: string, spec: object): KubernetesObject {
  return { apiVersion: "batch/v1", kind: "Job", metadata: { name }, spec } as KubernetesObject;
}

function cronJob(image: string): KubernetesObject {
  const spec = { restartPolicy: "Never", containers: [shellContainer(image, "date")] };
  return {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name: "tick" },
    spec: { schedule: "* * * * *", jobTemplate: { spec: { template: template("tick", spec) } } },
  } as KubernetesObject;
}

function localVolume(name: string, node: string, place: string): KubernetesObject {
  const values = [node];
  const matchExpressions = [{ key: "kubernetes.io/hostname", operator: "In", values }];
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name },
    spec: {
      capacity: { storage: "1Gi" },
      accessModes: ["ReadWriteOnce"],
      storageClassName: "local",
      local: { path: place },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions }] } },
    },
  } as KubernetesObject;
}

function statefulSet(app: string, image: string): KubernetesObject {
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: app },
    spec: {
      serviceName: app,
      replicas: 2,
      podManagementPolicy: "Parallel",
      selector: { matchLabels: { app } },
      template: template(app, {
        containers: [webContainer(image, { volumeMounts: [{ name: "data", mountPath: "/data" }] })],
      }),
      volumeClaimTemplates: [
        {
          metadata: { name: "data" },
          spec: {
            accessModes: ["ReadWriteOnce"],
            storageClassName: "local",
            resources: { requests: { storage: "1Gi" } },
          },
        },
      ],
    },
  } as KubernetesObject;
}
