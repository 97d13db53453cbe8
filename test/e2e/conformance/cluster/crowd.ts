// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { ClusterClient, NamespacedClient } from "../../../support/cluster/client.ts";
import type { Cluster } from "../../../support/cluster/cluster.ts";
import { deployment, shellContainer } from "../../../support/cluster/manifests.ts";
import { until } from "../../../support/until.ts";

/** Pods on one node; 100 by hand. */
const count = Number(process.env["BERTH_TEST_CLUSTER_PODS"] ?? 30);

/** Many pods on one node, and what a kubelet knows of each. */
export function crowd(cluster: () => Cluster): void {
  suite("many pods on a node", () => {
    let own: NamespacedClient;
    let client: ClusterClient;
    before(async () => {
      own = await cluster().client.inNamespace("crowd");
      client = own.client;
    });
    after(() => own?.[Symbol.asyncDispose]());

    const node = () => cluster().nodes[0];
    const readyOnes = async (): Promise<number> =>
      (await client.pods("app=crowd")).filter(({ status }) => status?.phase === "Running").length;
    const slowly = { timeoutMs: 120_000 + count * 6000, everyMs: 1000 };

    test(`${count} at once are all started`, async () => {
      await client.create(
        deployment("crowd", count, {
          nodeName: node().name,
          containers: [shellContainer(cluster().images.shell, "sleep 100000")],
        }),
      );
      await until("all run", async () => (await readyOnes()) === count, slowly);
      const pods = await client.pods("app=crowd");
      assert.equal(new Set(pods.map(({ status }) => status?.podIP)).size, count);
    });

    test("the node's figures have each with its processor, memory and network", async () => {
      const names = (await client.pods("app=crowd")).map(({ metadata }) => metadata?.name ?? "");
      await until(
        "figures of all are there",
        async () => {
          const { pods } = await client.figures(node().name);
          const wanted = names.map((name) => {
            const found = pods.find(({ podRef }) => podRef.name === name);
            if (found === undefined) throw new Error(`no figures of ${name}`);
            return found;
          });
          return wanted.every(
            ({ cpu, memory, network, containers }) =>
              cpu?.usageCoreNanoSeconds !== undefined &&
              (memory?.workingSetBytes ?? 0) > 0 &&
              network?.name === "eth0" &&
              containers?.length === 1,
          );
        },
        slowly,
      );
      const path = "metrics/cadvisor";
      await until(
        "samples of all are there",
        async () => {
          const text = await client.core.connectGetNodeProxyWithPath({ name: node().name, path });
          assert.ok(text.includes('container_memory_working_set_bytes{container="main"'));
          for (const name of names) assert.ok(text.includes(`pod="${name}"`), name);
          return true;
        },
        slowly,
      );
    });

    test("all go when they are told to", async () => {
      await client.remove("Deployment", "apps/v1", "crowd");
      await until(
        "none is left",
        async () => (await client.pods("app=crowd")).length === 0,
        slowly,
      );
    });
  });
}
