// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { packAny } from "../rpc/codec.ts";
import { eventField } from "./event-fields.ts";
import { Exchange } from "./exchange.ts";
import type { EventExchange, EventSubscription } from "./ports.ts";

const exit = packAny("containerd.events.TaskExit", { containerId: "c1", id: "e1", exitStatus: 3 });
const created = packAny("containerd.events.ContainerCreate", {
  id: "c2",
  image: "busybox",
  runtime: { name: "runc" },
});
const labelled = packAny("containerd.events.ContainerUpdate", { id: "c2", labels: { "a.b": "c" } });

async function topics(subscription: EventSubscription): Promise<string[]> {
  subscription[Symbol.dispose]();
  const seen: string[] = [];
  for await (const { topic } of subscription.read()) seen.push(topic);
  return seen;
}

function publishAll(exchange: EventExchange): void {
  exchange.publish("k8s.io", "/tasks/exit", exit);
  exchange.publish("default", "/containers/create", created);
  exchange.publish("default", "/containers/update", labelled);
}

const table: { filters: string[]; gets: string[] }[] = [
  { filters: [], gets: ["/tasks/exit", "/containers/create", "/containers/update"] },
  { filters: ["topic==/tasks/exit"], gets: ["/tasks/exit"] },
  { filters: ['topic~="^/containers/"'], gets: ["/containers/create", "/containers/update"] },
  { filters: ["topic~=/^.tasks/"], gets: ["/tasks/exit"] },
  { filters: ["namespace==default,topic==/tasks/exit"], gets: [] },
  {
    filters: ["namespace==k8s.io", "topic==/containers/update"],
    gets: ["/tasks/exit", "/containers/update"],
  },
  { filters: ["event.container_id==c1"], gets: ["/tasks/exit"] },
  { filters: ["event.exit_status==3"], gets: ["/tasks/exit"] },
  { filters: ["event.runtime.name==runc"], gets: ["/containers/create"] },
  { filters: ["event.labels.a.b==c"], gets: ["/containers/update"] },
  { filters: ["event.container_id"], gets: ["/tasks/exit"] },
];
for (const { filters, gets } of table) {
  test(`EventExchange passes ${gets.length} of 3 events through ${JSON.stringify(filters)}`, async () => {
    const exchange = new Exchange();
    const subscription = exchange.subscribe(filters);
    publishAll(exchange);
    assert.deepEqual(await topics(subscription), gets);
  });
}

test("EventExchange never waits for a slow subscriber, and counts what it lost", async () => {
  const lost: string[] = [];
  const exchange = new Exchange({ onDrop: (topic) => lost.push(topic) });
  const slow = exchange.subscribe([], { capacity: 2 });
  const quick = exchange.subscribe([]);
  publishAll(exchange);
  assert.equal(slow.dropped, 1);
  assert.deepEqual(lost, ["/tasks/exit"]);
  assert.deepEqual(await topics(slow), ["/containers/create", "/containers/update"]);
  assert.equal((await topics(quick)).length, 3);
});

test("EventExchange forgets a subscriber that left", async () => {
  const exchange = new Exchange();
  const subscription = exchange.subscribe([]);
  subscription[Symbol.dispose]();
  publishAll(exchange);
  assert.deepEqual(await topics(subscription), []);
});

for (const [namespace, topic] of [
  ["", "/tasks/exit"],
  ["a b", "/tasks/exit"],
  ["ns", "tasks/exit"],
  ["ns", ""],
  ["ns", "/"],
  ["ns", "/tasks//exit"],
] as const) {
  test(`EventExchange refuses topic "${topic}" in namespace "${namespace}"`, () => {
    assert.throws(() => new Exchange().publish(namespace, topic, exit), {
      code: "INVALID_ARGUMENT",
    });
  });
}

test("what type an event says it has leaves nothing behind", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const exchange = new Exchange();
  using _subscription = exchange.subscribe(["event.id==c"]);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 64; n += 1) {
    const type = `containerd.${String(n).repeat(512 * 1024)}`;
    exchange.publish("k8s.io", "/tasks/exit", { type_url: type, value: Buffer.alloc(0) });
  }
  collect();
  assert.ok(process.memoryUsage().heapUsed - before < 16 * 1024 * 1024);
});

test("an event's message is known by its full name only", () => {
  const filterOf = (type: string) =>
    eventField(
      {
        timestampNanos: 1n,
        namespace: "n",
        topic: "/t",
        event: { type_url: type, value: exit.value },
      },
      ["event", "container_id"],
    );
  assert.equal(filterOf("containerd.events.TaskExit"), "c1");
  assert.equal(filterOf("types.containerd.io/containerd.events.TaskExit"), "c1");
  for (const type of [
    "TaskExit",
    "events.TaskExit",
    ".containerd.events.TaskExit",
    "containerd.events",
    "constructor",
    "",
  ])
    assert.equal(filterOf(type), undefined, type);
});

test("events of any size wait in bounded memory, and the newest are there", async () => {
  const exchange = new Exchange();
  const subscription = exchange.subscribe([]);
  const event = { type_url: "x", value: Buffer.alloc(4 * 1024 * 1024) };
  for (let n = 0; n < 20; n += 1) exchange.publish("k8s.io", "/tasks/big", event);
  exchange.publish("k8s.io", "/tasks/exit", exit);
  assert.equal(subscription.dropped, 17);
  assert.deepEqual(await topics(subscription), [
    "/tasks/big",
    "/tasks/big",
    "/tasks/big",
    "/tasks/exit",
  ]);
});
