// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { containerInit, fakeServices } from "../../test/support/services.ts";
import type { FaultCode } from "../base/errors.ts";
import type { EventSubscription } from "../events/ports.ts";
import type { ContainersContainerInit } from "../gen/containers.gen.ts";
import { inProcessClient } from "../rpc/in-process.ts";
import type { ServiceClient } from "../rpc/service.ts";

const on = { namespace: "ns" };
type Containers = ServiceClient<"containerd.services.containers.v1.Containers">;

function bench() {
  const services = fakeServices();
  return {
    ...services,
    client: inProcessClient("containerd.services.containers.v1.Containers", services.containers),
    namespacesClient: inProcessClient(
      "containerd.services.namespaces.v1.Namespaces",
      services.namespaces,
    ),
    tasksClient: inProcessClient("containerd.services.tasks.v1.Tasks", services.tasks),
    heard: services.exchange.subscribe([]),
  };
}

async function topics(heard: EventSubscription): Promise<string[]> {
  heard[Symbol.dispose]();
  const seen: string[] = [];
  for await (const { namespace, topic } of heard.read()) seen.push(`${namespace} ${topic}`);
  return seen;
}

const refused: { name: string; change: ContainersContainerInit; message: RegExp }[] = [
  { name: "an empty id", change: { id: "" }, message: /must not be empty/ },
  { name: "a path as id", change: { id: "../x" }, message: /is invalid/ },
  { name: "an id that is too long", change: { id: "x".repeat(77) }, message: /77 characters/ },
  { name: "no runtime", change: { runtime: null }, message: /has no runtime/ },
  { name: "no spec", change: { spec: null }, message: /has no spec/ },
  { name: "a key without snapshotter", change: { snapshotKey: "k" }, message: /no snapshotter/ },
  { name: "a long label", change: { labels: { k: "v".repeat(4096) } }, message: /4097 bytes/ },
  { name: "an extension without type", change: { extensions: { e: {} } }, message: /extension/ },
];
for (const { name, change, message } of refused) {
  test(`Containers: Create refuses ${name}`, async () => {
    const create = bench().client.Create({ container: containerInit("c", change) }, on);
    await assert.rejects(create, { code: "INVALID_ARGUMENT", message });
  });
}

const missing: { name: string; call: (client: Containers) => Promise<unknown>; code: FaultCode }[] =
  [
    { name: "Get", call: (c) => c.Get({ id: "x" }, on), code: "NOT_FOUND" },
    { name: "Delete", call: (c) => c.Delete({ id: "x" }, on), code: "NOT_FOUND" },
    { name: "Update", call: (c) => c.Update({ container: { id: "x" } }, on), code: "NOT_FOUND" },
    { name: "Update without a container", call: (c) => c.Update({}, on), code: "INVALID_ARGUMENT" },
    { name: "Create without a container", call: (c) => c.Create({}, on), code: "INVALID_ARGUMENT" },
    { name: "List without a namespace", call: (c) => c.List({}), code: "FAILED_PRECONDITION" },
  ];
for (const { name, call, code } of missing) {
  test(`Containers: ${name} is ${code}`, async () => {
    await assert.rejects(call(bench().client), { code });
  });
}

test("Containers: create, get, update, delete, each with its event", async () => {
  const { client, heard } = bench();
  const { container: made } = await client.Create({ container: containerInit("c") }, on);
  assert.ok(made?.createdAt && made.createdAt.seconds > 1_000_000_000n);
  assert.deepEqual((await client.Get({ id: "c" }, on)).container, made);
  await assert.rejects(client.Create({ container: containerInit("c") }, on), {
    code: "ALREADY_EXISTS",
  });
  await client.Update({ container: { ...made, labels: { a: "b" } } }, on);
  await client.Delete({ id: "c" }, on);
  await assert.rejects(client.Get({ id: "c" }, on), { code: "NOT_FOUND" });
  assert.deepEqual(await topics(heard), [
    "ns /containers/create",
    "ns /containers/update",
    "ns /containers/delete",
  ]);
});

const updates: {
  name: string;
  update: ContainersContainerInit;
  paths: string[];
  gives: Record<string, unknown> | FaultCode;
}[] = [
  {
    name: "one label",
    update: { labels: { a: "9", b: "7" } },
    paths: ["labels.a"],
    gives: { labels: { a: "9", "x.y/z": "2" } },
  },
  {
    name: "a dotted label",
    update: { labels: { "x.y/z": "9" } },
    paths: ["labels.x.y/z"],
    gives: { labels: { a: "1", "x.y/z": "9" } },
  },
  { name: "a label away", update: {}, paths: ["labels.a"], gives: { labels: { "x.y/z": "2" } } },
  {
    name: "all labels",
    update: { labels: { n: "1" } },
    paths: ["labels"],
    gives: { labels: { n: "1" } },
  },
  {
    name: "the image only",
    update: { image: "new", labels: {} },
    paths: ["image"],
    gives: { image: "new", labels: { a: "1", "x.y/z": "2" } },
  },
  { name: "an unknown field", update: {}, paths: ["runtime"], gives: "INVALID_ARGUMENT" },
  { name: "the spec away", update: {}, paths: ["spec"], gives: "INVALID_ARGUMENT" },
  {
    name: "everything but the runtime",
    update: { ...containerInit("c"), runtime: { name: "other" } },
    paths: [],
    gives: "INVALID_ARGUMENT",
  },
  {
    name: "everything",
    update: containerInit("c", { image: "z", labels: {} }),
    paths: [],
    gives: { image: "z", labels: {} },
  },
];
for (const { name, update, paths, gives } of updates) {
  test(`Containers: Update of ${name}`, async () => {
    const { client } = bench();
    await client.Create(
      { container: containerInit("c", { labels: { a: "1", "x.y/z": "2" } }) },
      on,
    );
    const call = client.Update({ container: { ...update, id: "c" }, updateMask: { paths } }, on);
    if (typeof gives === "string") return assert.rejects(call, { code: gives });
    const { container } = await call;
    assert.partialDeepStrictEqual(container, gives);
    assert.deepEqual(container?.labels, gives["labels"]);
  });
}

test("Containers: List filters, and ListStream gives the same", async () => {
  const { client } = bench();
  await client.Create({ container: containerInit("a", { labels: { "io/kind": "sandbox" } }) }, on);
  await client.Create({ container: containerInit("b", { image: "other:1" }) }, on);
  await client.Create({ container: containerInit("a") }, { namespace: "elsewhere" });
  const cases: [string[], string[]][] = [
    [[], ["a", "b"]],
    [["id==a"], ["a"]],
    [['labels."io/kind"==sandbox'], ["a"]],
    [["labels.none"], []],
    [["image~=^other"], ["b"]],
    [["runtime.name==io.containerd.runc.v2"], ["a", "b"]],
  ];
  for (const [filters, wanted] of cases) {
    const { containers } = await client.List({ filters }, on);
    assert.deepEqual(
      containers.map(({ id }) => id),
      wanted,
    );
    const streamed: (string | undefined)[] = [];
    for await (const { container } of client.ListStream({ filters }, on))
      streamed.push(container?.id);
    assert.deepEqual(streamed, wanted);
  }
});

test("Containers: one with a task is not deleted", async () => {
  const { client, tasksClient } = bench();
  await client.Create({ container: containerInit("c") }, on);
  await tasksClient.Create({ containerId: "c" }, on);
  await assert.rejects(client.Delete({ id: "c" }, on), { code: "FAILED_PRECONDITION" });
  await tasksClient.Delete({ containerId: "c" }, on);
  await client.Delete({ id: "c" }, on);
});

test("Containers: of many concurrent Creates of one id, one succeeds", async () => {
  const { client } = bench();
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, () => client.Create({ container: containerInit("c") }, on)),
  );
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
});

test("Namespaces: come with their first container, and go only when empty", async () => {
  const { client, namespacesClient: namespaces, heard } = bench();
  await client.Create({ container: containerInit("c") }, on);
  assert.deepEqual((await namespaces.List({})).namespaces, [{ name: "ns", labels: {} }]);
  const refusal = { code: "FAILED_PRECONDITION", message: /it still has containers$/ };
  await assert.rejects(namespaces.Delete({ name: "ns" }), refusal);
  await client.Delete({ id: "c" }, on);
  assert.deepEqual((await namespaces.Get({ name: "ns" })).namespace, { name: "ns", labels: {} });
  await namespaces.Delete({ name: "ns" });
  assert.deepEqual((await namespaces.List({})).namespaces, []);
  assert.deepEqual((await topics(heard)).at(-1), "ns /namespaces/delete");
});

test("Namespaces: create, label, unlabel", async () => {
  const { namespacesClient: namespaces } = bench();
  await namespaces.Create({ namespace: { name: "n", labels: { a: "1" } } });
  await assert.rejects(namespaces.Create({ namespace: { name: "n" } }), { code: "ALREADY_EXISTS" });
  await assert.rejects(namespaces.Create({ namespace: { name: "n/m" } }), {
    code: "INVALID_ARGUMENT",
  });
  await assert.rejects(namespaces.Create({}), { code: "INVALID_ARGUMENT" });
  const label = (labels: Record<string, string>, paths: string[]) =>
    namespaces.Update({ namespace: { name: "n", labels }, updateMask: { paths } });
  assert.deepEqual((await label({ b: "2" }, ["labels.b"])).namespace?.labels, { a: "1", b: "2" });
  assert.deepEqual((await label({ a: "" }, ["labels.a"])).namespace?.labels, { b: "2" });
  assert.deepEqual((await label({ c: "3" }, [])).namespace?.labels, { c: "3" });
  await assert.rejects(label({}, ["name"]), { code: "INVALID_ARGUMENT" });
  await assert.rejects(namespaces.Delete({ name: "none" }), { code: "NOT_FOUND" });
});

test("Namespaces: one that was not made has no labels, and comes with its first", async () => {
  const { namespacesClient: namespaces } = bench();
  const none = { name: "n", labels: {} };
  assert.deepEqual((await namespaces.Get({ name: "n" })).namespace, none);
  assert.deepEqual((await namespaces.List({})).namespaces, []);
  const label = {
    namespace: { name: "n", labels: { a: "1" } },
    updateMask: { paths: ["labels.a"] },
  };
  await namespaces.Update(label);
  assert.deepEqual((await namespaces.Get({ name: "n" })).namespace, {
    name: "n",
    labels: { a: "1" },
  });
  const wrong = { namespace: { name: "n/m", labels: {} } };
  await assert.rejects(namespaces.Update(wrong), { code: "INVALID_ARGUMENT" });
});
