// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/logger.ts";
import type { EventEnvelope } from "../../events/ports.ts";
import { unpackAny } from "../../rpc/codec.ts";
import { TaskEvents } from "./task-events.ts";

for (const [what, exitedAtNanos, exitedAt] of [
  ["now", 1_700_000_000_000_000_001n, { seconds: 1_700_000_000n, nanos: 1 }],
  ["before 1970", -1n, { seconds: -1n, nanos: 999_999_999 }],
  ["at a time that nobody knows", 0n, null],
] as const) {
  test(`tells of a task that exited ${what}`, () => {
    const told: EventEnvelope[] = [];
    const events = new TaskEvents((event) => told.push(event), silentLogger);
    const exit = { pid: 7, exitStatus: 137, exitedAtNanos };
    events.exited({ namespace: "k8s.io", id: "a" }, exit);
    events.deleted({ namespace: "k8s.io", id: "a" }, exit);
    const [exited, deleted] = told.map(({ event }) => event);
    assert.ok(exited && deleted);
    assert.deepEqual(unpackAny("containerd.events.TaskExit", exited)?.exitedAt, exitedAt);
    assert.deepEqual(unpackAny("containerd.events.TaskDelete", deleted)?.exitedAt, exitedAt);
  });
}
