// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Exchange } from "../events/exchange.ts";
import { packAny } from "../rpc/codec.ts";
import { inProcessClient } from "../rpc/in-process.ts";
import { createEventsService } from "./events-service.ts";

const exit = packAny("containerd.events.TaskExit", { containerId: "c1", id: "e1", exitStatus: 3 });

test("Events service publishes, forwards and streams", async () => {
  const exchange = new Exchange();
  const client = inProcessClient(
    "containerd.services.events.v1.Events",
    createEventsService(exchange),
  );
  const stream = client.Subscribe({ filters: ["namespace==ns"] })[Symbol.asyncIterator]();
  const first = stream.next();
  await client.Publish({ topic: "/a", event: exit }, { namespace: "ns" });
  const timestamp = { seconds: 1_700_000_000n, nanos: 7 };
  await client.Forward({ envelope: { timestamp, namespace: "ns", topic: "/b", event: exit } });
  assert.equal((await first).value?.topic, "/a");
  const second = (await stream.next()).value;
  assert.deepEqual(second, { timestamp, namespace: "ns", topic: "/b", event: exit });
  await stream.return?.();
});

for (const [what, timestamp] of [
  ["the first moment of 1970", { seconds: 0n, nanos: 0 }],
  ["a moment before 1970", { seconds: -1n, nanos: 999_999_999 }],
] as const) {
  test(`Events service forwards an event of ${what}`, async () => {
    const client = inProcessClient(
      "containerd.services.events.v1.Events",
      createEventsService(new Exchange()),
    );
    const stream = client.Subscribe({ filters: [] })[Symbol.asyncIterator]();
    const first = stream.next();
    await client.Forward({ envelope: { timestamp, namespace: "ns", topic: "/b", event: exit } });
    assert.deepEqual((await first).value?.timestamp, timestamp);
    await stream.return?.();
  });
}

test("Events service refuses what is incomplete", async () => {
  const client = inProcessClient(
    "containerd.services.events.v1.Events",
    createEventsService(new Exchange()),
  );
  await assert.rejects(client.Publish({ topic: "/a", event: exit }), {
    code: "FAILED_PRECONDITION",
  });
  await assert.rejects(client.Publish({ topic: "/a" }, { namespace: "n" }), {
    code: "INVALID_ARGUMENT",
  });
  await assert.rejects(client.Forward({}), { code: "INVALID_ARGUMENT" });
  for (const timestamp of [null, { seconds: -62_135_596_800n, nanos: 0 }]) {
    const envelope = { timestamp, namespace: "ns", topic: "/b", event: exit };
    await assert.rejects(client.Forward({ envelope }), { code: "INVALID_ARGUMENT" });
  }
  const stream = client.Subscribe({ filters: ["topic=="] })[Symbol.asyncIterator]();
  await assert.rejects(stream.next(), { code: "INVALID_ARGUMENT" });
});
