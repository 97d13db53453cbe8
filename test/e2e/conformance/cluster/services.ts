// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { V1Pod } from "@kubernetes/client-node";
import {
  type ClusterClient,
  isReady,
  type NamespacedClient,
  patience,
} from "../../../support/cluster/client.ts";
import type { Cluster } from "../../../support/cluster/cluster.ts";
import {
  deployment,
  pod,
  service,
  shellContainer,
  webContainer,
} from "../../../support/cluster/manifests.ts";
import { until } from "../../../support/until.ts";

/** Pods of Deployments and the Services in front of them, from both nodes and from outside. */
export function services(cluster: () => Cluster): void {
  suite("services across nodes", () => {
    let own: NamespacedClient;
    let client: ClusterClient;
    let web: V1Pod[];
    before(async () => {
      own = await cluster().client.inNamespace("services");
      client = own.client;
      const { images, nodes } = cluster();
      await client.create(
        deployment("web", 4, { containers: [webContainer(images.shell)] }),
        service("web", { name: "http", port: 80, targetPort: "http" }, { type: "NodePort" }),
        ...nodes.map(({ name }) =>
          pod(`on-${name}`, {
            nodeName: name,
            containers: [shellContainer(images.shell, "sleep 100000")],
          }),
        ),
      );
      web = await client.readyPods("app=web", 4);
      await until(
        "the clients run",
        async () => {
          const pods = await Promise.all(nodes.map(({ name }) => client.pod(`on-${name}`)));
          return pods.every(isReady);
        },
        patience,
      );
    });
    after(() => own?.[Symbol.asyncDispose]());

    const clients = (): string[] => cluster().nodes.map(({ name }) => `on-${name}`);
    const names = (pods: readonly V1Pod[]): string[] =>
      pods.map(({ metadata }) => metadata?.name ?? "").toSorted();
    const askedFrom = async (from: string, url: string): Promise<string> =>
      (await client.must(from, "wget", "-q", "-O", "-", url)).trim();
    /** Asks until each of these pods has answered. */
    const reachesAll = async (ask: () => Promise<string>): Promise<void> => {
      const seen = new Set<string>();
      await until(
        "every pod has answered",
        async () => {
          seen.add(await ask());
          return names(web).every((name) => seen.has(name));
        },
        { timeoutMs: 60_000, everyMs: 1 },
      );
      assert.deepEqual([...seen].toSorted(), names(web));
    };

    test("the pods are on both nodes, each with an address of its node", () => {
      const { nodes, addresses } = cluster();
      for (const [index, node] of nodes.entries()) {
        const here = web.filter(({ spec }) => spec?.nodeName === node.name);
        assert.equal(here.length, 2);
        const subnet = addresses.podSubnets[index]?.slice(0, -4) ?? "";
        for (const { status } of here) assert.ok(status?.podIP?.startsWith(subnet));
      }
    });

    test("a pod reaches each other by its address, and is seen with its own", async () => {
      for (const from of clients()) {
        for (const { status, metadata } of web) {
          assert.equal(await askedFrom(from, `http://${status?.podIP}:8080/`), metadata?.name);
        }
      }
      const [one = "", other = ""] = clients();
      const target = (await client.pod(other)).status?.podIP ?? "";
      const listening = client.exec(other, ["sh", "-c", "nc -l -p 9000 -e sh -c 'netstat -tn' "]);
      const { status } = await client.pod(one);
      const seen = await until("it is connected", async () => {
        const line = `nc -w 60 ${target} 9000 </dev/null`;
        return (await client.must(one, "sh", "-c", line)).includes(`${status?.podIP}:`);
      });
      assert.ok(seen);
      await listening;
    });

    test("by the service's name and address, from both nodes", async () => {
      const namespace = client.namespace;
      const { spec } = await client.core.readNamespacedService({ name: "web", namespace });
      for (const from of clients()) {
        const found = await until("its name is known", () =>
          client.must(from, "nslookup", "web.services.svc.cluster.local"),
        );
        assert.ok(found.includes(spec?.clusterIP ?? "none"), found);
        await reachesAll(() => askedFrom(from, "http://web/"));
        await reachesAll(() => askedFrom(from, `http://${spec?.clusterIP}/`));
      }
    });

    test("by a port of each node, from outside", async () => {
      const namespace = client.namespace;
      const { spec } = await client.core.readNamespacedService({ name: "web", namespace });
      const port = spec?.ports?.[0]?.nodePort;
      for (const { address } of cluster().nodes) {
        await reachesAll(async () => {
          const answer = await fetch(`http://${address}:${port}/`, {
            headers: { connection: "close" },
            signal: AbortSignal.timeout(5000),
          });
          return (await answer.text()).trim();
        });
      }
    });

    test("the API server, with a service account's token, by its service", async () => {
      const [from = ""] = clients();
      const script =
        "cd /var/run/secrets/kubernetes.io/serviceaccount; ls; nslookup kubernetes.default.svc.cluster.local; nc -w 20 kubernetes.default.svc 443 </dev/null && echo open";
      const said = await until("it is reached", () => client.must(from, "sh", "-c", script));
      for (const part of ["ca.crt", "namespace", "token", "10.96.0.1", "open"]) {
        assert.ok(said.includes(part), said);
      }
    });

    test("a rolling update replaces all of them", async () => {
      const before = new Set(names(web));
      const update = async (version: string): Promise<void> => {
        const metadata = { name: "web", annotations: {} };
        const annotations = { "test.berth/version": version };
        const change = {
          apiVersion: "apps/v1",
          kind: "Deployment",
          metadata,
          spec: { template: { metadata: { annotations } } },
        };
        await client.objects.patch(change);
      };
      await update("2");
      await until(
        "the rollout is over",
        async () => {
          const { status, metadata } = await client.apps.readNamespacedDeployment({
            name: "web",
            namespace: client.namespace,
          });
          const { updatedReplicas, availableReplicas, replicas, observedGeneration } = status ?? {};
          const isSeen = observedGeneration === metadata?.generation;
          return isSeen && [updatedReplicas, availableReplicas, replicas].every((it) => it === 4);
        },
        patience,
      );
      web = await client.readyPods("app=web", 4);
      assert.deepEqual(
        names(web).filter((name) => before.has(name)),
        [],
      );
      for (const from of clients()) await reachesAll(() => askedFrom(from, "http://web/"));
    });
  });
}
