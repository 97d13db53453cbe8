// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcessClient } from "../rpc/in-process.ts";
import { createHealthService } from "./health-service.ts";

const client = inProcessClient("grpc.health.v1.Health", createHealthService());

test("Health: the daemon as a whole serves", async () => {
  assert.deepEqual(await client.Check({}), { status: "SERVING" });
  assert.deepEqual(await client.List({}), { statuses: { "": { status: "SERVING" } } });
});

test("Health: a single service is not known", async () => {
  await assert.rejects(client.Check({ service: "x.Y" }), { code: "NOT_FOUND" });
});

const watched = [
  { service: "", status: "SERVING" },
  { service: "x.Y", status: "SERVICE_UNKNOWN" },
];
for (const { service, status } of watched) {
  test(`Health: Watch of "${service}" tells its state, then waits for the caller`, async () => {
    const caller = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const answer of client.Watch({ service }, { signal: caller.signal })) {
        seen.push(answer.status);
        caller.abort();
      }
    })();
    await assert.rejects(watching, { code: "CANCELLED" });
    assert.deepEqual(seen, [status]);
  });
}
