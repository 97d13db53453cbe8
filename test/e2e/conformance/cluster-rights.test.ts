// SPDX-License-Identifier: Apache-2.0
// A real API server takes what Berth tells it, with no more rights than deploy/kubernetes/rbac.yaml gives, and with a
// kubelet's own.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { CoreV1Event, V1Node } from "@kubernetes/client-node";
import { silentLogger } from "../../../src/base/logger.ts";
import { type PodFactKind, PodFacts } from "../../../src/events/pod-facts.ts";
import { openKubeClient } from "../../../src/kube/api/kube-client.ts";
import { KubeReporter } from "../../../src/kube/kube-reporter.ts";
import type { HangingStage } from "../../../src/kube/node-degraded.ts";
import { WorkerLink } from "../../../src/kube/worker-link.ts";
import { type GoToolName, toolOrReason } from "../../support/go-tools.ts";
import { type ControlPlane, startControlPlane } from "../../support/kubelet/control-plane.ts";
import { findProgram, lacking } from "../../support/lacking.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";

const programs: Partial<Record<GoToolName, string>> = {};

async function missing(): Promise<string | false> {
  const lack = lacking("etcd");
  if (lack !== false) return lack;
  for (const name of ["kube-apiserver", "kubectl"] as const) {
    const tool = await toolOrReason(name);
    if (tool.skip !== false) return tool.skip;
    programs[name] = tool.path;
  }
  return false;
}

const patience = { timeoutMs: 180_000, everyMs: 200 } as const;
const root = path.resolve(import.meta.dirname, "../../..");

suite("a real API server", { skip: await missing() }, () => {
  let home: Scratch;
  let plane: ControlPlane;
  /** By who uses it. */
  const users = {
    "a service account with the shipped rules": "berthd",
    "a kubelet": "kubelet",
  } as const;
  const configs = new Map<string, string>();
  const audit = (): string => path.join(home.path, "audit.log");

  before(async () => {
    home = await scratch({ prefix: "rights", space: false });
    const policy = path.join(home.path, "policy.json");
    const rules = [{ level: "Metadata", users: ["system:serviceaccount:kube-system:berthd"] }];
    await writeFile(
      policy,
      JSON.stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", rules }),
    );
    plane = await startControlPlane(
      {
        etcd: findProgram("etcd") ?? "",
        apiServer: programs["kube-apiserver"] ?? "",
        kubectl: programs.kubectl ?? "",
      },
      {
        tokens: [
          "kubelet-token,system:node:node-1,node-1,system:nodes",
          "berthd-token,system:serviceaccount:kube-system:berthd,berthd",
        ],
        flags: {
          "authorization-mode": "Node,RBAC",
          "enable-admission-plugins": "NodeRestriction",
          "audit-policy-file": policy,
          "audit-log-path": audit(),
        },
      },
    );
    await must("apply", "-f", path.join(root, "deploy/kubernetes/rbac.yaml"));
    const asAdmin = JSON.parse(await readFile(plane.kubeconfig, "utf8")) as { users: object[] };
    for (const name of Object.values(users)) {
      const file = path.join(home.path, name);
      const user = { name: "admin", user: { token: `${name}-token` } };
      await writeFile(file, JSON.stringify({ ...asAdmin, users: [user] }));
      configs.set(name, file);
    }
    for (const name of ["node-1", "node-2"]) {
      const node = { apiVersion: "v1", kind: "Node", metadata: { name } };
      await must.with(JSON.stringify(node), "create", "-f", "-");
    }
    const metadata = { name: "web", namespace: "default" };
    const spec = { nodeName: "node-1", containers: [{ name: "app", image: "i" }] };
    await must.with(
      JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata, spec }),
      "create",
      "-f",
      "-",
    );
    const classOf = { apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", handler: "kata" };
    await must.with(
      JSON.stringify({ ...classOf, metadata: { name: "sandboxed" } }),
      "create",
      "-f",
      "-",
    );
  });
  after(async () => {
    await plane?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  const kubectl = async (input: string, args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await plane.kubectl(args, { input, timeoutMs: 180_000 });
    assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const must = Object.assign((...args: readonly string[]) => kubectl("", args), {
    with: (input: string, ...args: readonly string[]) => kubectl(input, args),
  });
  const events = async (kind: PodFactKind): Promise<CoreV1Event[]> => {
    const list = JSON.parse(await must("get", "events", "-o", "json")) as { items: CoreV1Event[] };
    return list.items.filter(({ reason }) => reason === kind);
  };
  const condition = async (node: string) => {
    const { status } = JSON.parse(await must("get", "node", node, "-o", "json")) as V1Node;
    return status?.conditions?.find(({ type }) => type === "RuntimeDegraded");
  };

  for (const [who, name] of Object.entries(users)) {
    const kind: PodFactKind = name === "kubelet" ? "ShimDied" : "LogLinesLost";
    test(`takes Events and the condition from ${who}`, async () => {
      const facts = new PodFacts();
      const stages: HangingStage[] = [];
      await using reporter = new KubeReporter({
        facts,
        hanging: () => stages,
        link: new WorkerLink(),
        log: silentLogger,
        paces: { firstMs: 1, lookMs: 100 },
      });
      const kubeconfig = configs.get(name) ?? "";
      reporter.configure({ kubeconfig, nodeName: "node-1" });
      const uid = await must("get", "pod", "web", "-o", "jsonpath={.metadata.uid}");
      const pod = { namespace: "default", name: "web", uid };
      facts.tell({ kind, pod, subject: "", message: "befallen" });
      const [event] = await until(
        "the event is there",
        async () => {
          const found = await events(kind);
          return found.length > 0 && found;
        },
        patience,
      );
      assert.deepEqual([event?.message, event?.count], ["befallen", 1]);
      assert.match(await must("describe", "pod", "web"), new RegExp(`${kind} .*berthd  befallen`));
      const healthy = await until("it is", () => condition("node-1"), patience);
      assert.equal(healthy.status, "False");
      stages.push({ rpc: "RunPodSandbox", stage: "network" });
      const hangs = await until(
        "the condition is True",
        async () => {
          const now = await condition("node-1");
          return now?.status === "True" && now;
        },
        patience,
      );
      assert.match(hangs.message ?? "", /RunPodSandbox at stage "network"/);
      assert.equal(reporter.state()?.problem, undefined);
      reporter.configure({ kubeconfig: "", nodeName: "" });
      await until(
        "it has taken leave",
        async () => (await condition("node-1"))?.status === "Unknown",
        patience,
      );
    });

    test(`counts an Event of ${who}, and tells RuntimeClasses`, async () => {
      const client = await openKubeClient(configs.get(name) ?? "", new AbortController());
      const [event] = await events(kind);
      await client.perform({
        kind: "count-event",
        namespace: "default",
        name: event?.metadata.name ?? "",
        count: 7,
        message: "again",
        lastTimestamp: new Date().toISOString(),
      });
      const [counted] = await events(kind);
      assert.deepEqual([counted?.message, counted?.count], ["again", 7]);
      const classes = await client.runtimeClasses();
      assert.deepEqual(
        classes.map(({ handler }) => handler),
        ["kata"],
      );
    });
  }

  test("lets a kubelet say nothing of another node", async () => {
    const client = await openKubeClient(configs.get("kubelet") ?? "", new AbortController());
    const time = new Date().toISOString();
    const told = {
      type: "RuntimeDegraded",
      status: "True",
      reason: "Lie",
      message: "a lie",
    } as const;
    const lie = { ...told, lastHeartbeatTime: time, lastTransitionTime: time };
    await assert.rejects(client.perform({ kind: "condition", node: "node-2", condition: lie }), {
      code: 403,
    });
  });

  test("was asked for nothing that the shipped rules do not name, and for all that they do", async () => {
    const lines = (await readFile(audit(), "utf8")).trim().split("\n");
    const asked = lines.map((line) => {
      const { verb, objectRef, responseStatus } = JSON.parse(line) as {
        verb: string;
        objectRef: { resource: string; subresource?: string };
        responseStatus?: { code: number };
      };
      assert.ok((responseStatus?.code ?? 0) < 400, line);
      return [verb, objectRef.resource, objectRef.subresource].filter(Boolean).join(" ");
    });
    assert.deepEqual([...new Set(asked)].toSorted(), [
      "create events",
      "list runtimeclasses",
      "patch events",
      "patch nodes status",
    ]);
  });
});
