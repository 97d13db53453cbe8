// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { pod, type V1Pod } from "../../test/support/kube/scripted-pod.ts";
import type { NodeClient } from "../kube/api/node-client.ts";
import type { Ask } from "./ask.ts";
import { drain, leavingPods, obstacles, stayingPods } from "./drain.ts";

const call = { signal: new AbortController().signal };
const daemonPod = pod("agent", { kind: "DaemonSet" });

test("pods go or stay as kubectl drain has it", () => {
  const flags = { force: false, deleteEmptydirData: false, drainMs: 1 };
  const over = { ...pod("over"), status: { phase: "Succeeded" } } as V1Pod;
  const overDaemon = { ...daemonPod, status: { phase: "Failed" } } as V1Pod;
  const mirror = pod("mirror");
  mirror.metadata!.annotations = { "kubernetes.io/config.mirror": "x" };
  const scratch = pod("scratch", { kind: "Job" });
  scratch.spec = { containers: [], volumes: [{ name: "v", emptyDir: {} }] };
  const all = [daemonPod, mirror, over, overDaemon, pod("alone"), scratch];
  assert.deepEqual(stayingPods(all), [daemonPod, mirror]);
  assert.deepEqual(leavingPods(all), all.slice(2));
  assert.deepEqual(obstacles(all, flags), [
    "shop/alone: no controller makes them again (--force deletes them)",
    "shop/scratch: their emptyDir volumes go with them (--delete-emptydir-data agrees to that)",
  ]);
  assert.deepEqual(obstacles(all, { ...flags, force: true, deleteEmptydirData: true }), []);
  const many = Array.from({ length: 12 }, (_, index) => pod(`p${index}`));
  assert.match(obstacles(many, flags)[0] ?? "", /shop\/p9 and 2 more: no controller/);
});

test("a pod of another uid is another pod", async () => {
  const ask: Ask = async (_what, question) => question(api as unknown as NodeClient);
  let lists = 0;
  const api = {
    podsOf: () => Promise.resolve((lists += 1) === 1 ? [pod("db-0", { kind: "StatefulSet" })] : []),
    evict: () => Promise.reject(Object.assign(new Error("precondition"), { code: 409 })),
  };
  const flags = { force: false, deleteEmptydirData: false, drainMs: 10_000, lookMs: 1 };
  await drain({ ask, flags, say: () => {} }, "n", call);
  assert.equal(lists, 2);
});

test("what tolerates a cordoned node is evicted once, and its controller's next ones are left", async () => {
  const ask: Ask = async (_what, question) => question(api as unknown as NodeClient);
  const made = (name: string, toleration?: object): V1Pod => {
    const one = pod(name, { kind: "ReplicaSet" });
    Object.assign(one.metadata ?? {}, { uid: name });
    for (const owner of one.metadata?.ownerReferences ?? []) owner.uid = `set-${name.slice(0, 3)}`;
    return { ...one, spec: { containers: [], tolerations: toleration ? [toleration] : [] } };
  };
  let here = [made("any-0", { operator: "Exists" }), made("web-0")];
  let count = 0;
  const evicted: string[] = [];
  const api = {
    podsOf: () => Promise.resolve(here),
    evict: ({ uid }: { uid: string }) => {
      evicted.push(uid);
      here = here.filter(({ metadata }) => metadata?.uid !== uid);
      count += 1;
      if (uid.startsWith("any")) here.push(made(`any-${count}`, { operator: "Exists" }));
      // Was on its way when the node was cordoned.
      if (uid === "web-0") here.push(made("web-late", { key: "else", operator: "Exists" }));
      return Promise.resolve();
    },
  };
  const flags = { force: false, deleteEmptydirData: false, drainMs: 10_000, lookMs: 1 };
  const said: string[] = [];
  await drain({ ask, flags, say: (line) => said.push(line) }, "n", call);
  assert.deepEqual(evicted.toSorted(), ["any-0", "web-0", "web-late"]);
  assert.deepEqual(
    here.map(({ metadata }) => metadata?.uid),
    ["any-1"],
  );
  assert.equal(said.filter((line) => line.startsWith("left shop/any-1: it tolerates")).length, 1);
});

test("of many that tolerate a cordoned node ten are named, and the others counted", async () => {
  const ask: Ask = async (_what, question) => question(api as unknown as NodeClient);
  const newcomers = Array.from({ length: 13 }, (_, index) => {
    const one = pod(`p${index}`, { kind: "ReplicaSet" });
    for (const owner of one.metadata?.ownerReferences ?? []) owner.uid = `set-${index}`;
    return { ...one, spec: { containers: [], tolerations: [{ operator: "Exists" }] } };
  });
  let looks = 0;
  const first = [pod("web", { kind: "ReplicaSet" })];
  const api = {
    podsOf: () => Promise.resolve((looks += 1) === 1 ? first : newcomers),
    evict: () => Promise.resolve(),
  };
  const flags = { force: false, deleteEmptydirData: false, drainMs: 10_000, lookMs: 1 };
  const said: string[] = [];
  await drain({ ask, flags, say: (line) => said.push(line) }, "n", call);
  assert.equal(
    said.filter((line) => /^left shop\/p\d+: .* remove-pods ends/.test(line)).length,
    10,
  );
  assert.match(said.at(-1) ?? "", /^left 3 more that tolerate a cordoned node: .* remove-pods/);
});

test("with a kubelet that was stopped a drain waits for no pod, which nobody would end", async () => {
  const ask: Ask = async (_what, question) => question(api as unknown as NodeClient);
  const going = pod("web", { kind: "ReplicaSet" });
  going.metadata!.deletionTimestamp = new Date();
  const api = { podsOf: () => Promise.resolve([going]) };
  const flags = { force: false, deleteEmptydirData: false, drainMs: 10_000, lookMs: 1 };
  const said: string[] = [];
  let looks = 0;
  const isStopped = () => Promise.resolve((looks += 1) === 2);
  await drain({ ask, flags, say: (line) => said.push(line), isStopped }, "n", call);
  assert.equal(looks, 2);
  assert.match(said.at(-1) ?? "", /^left: the kubelet is down, and ends no pod/);
});

test("of an orphan it is asked before a kubelet that is down ends the drain", async () => {
  const ask: Ask = async (_what, question) => question(api as unknown as NodeClient);
  const api = { podsOf: () => Promise.resolve([pod("bare")]) };
  const flags = { force: false, deleteEmptydirData: false, drainMs: 10_000, lookMs: 1 };
  const isStopped = () => Promise.resolve(true);
  const drained = drain({ ask, flags, say: () => {}, isStopped }, "n", call);
  await assert.rejects(drained, /shop\/bare: no controller makes them again/);
});
