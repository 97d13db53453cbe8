// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../../base/errors.ts";
import { identify } from "../../../base/os/proc.ts";
import type { Session } from "../call-options.ts";
import { endLeftLeases, isLeft, openCopyLease } from "./copy-lease.ts";

const here = { boot: "b1", bootedMs: 5_000, namespace: "pid:[1]" };
const own = identify(process.pid)!;

for (const { of, holder, createdMs = 6_000, expected } of [
  { of: "ours", holder: `b1 pid:[1] ${own.pid} ${own.startTime}`, expected: false },
  { of: "a pid that was ours", holder: `b1 pid:[1] ${own.pid} 1`, expected: true },
  { of: "another namespace", holder: "b1 pid:[2] 1 1", expected: false },
  { of: "a boot of before", holder: "b0 pid:[1] 1 1", createdMs: 4_000, expected: true },
  { of: "a container's boot id", holder: "b2 pid:[2] 1 1", expected: false },
]) {
  test(`the lease of a copy of ${of} is ${expected ? "left" : "kept"}`, () => {
    assert.equal(isLeft({ holder, createdMs }, here), expected);
  });
}

test("leases that are gone already do not keep the next ones", async () => {
  const made: { id: string; labels: Record<string, string>; createdAt: null }[] = [];
  const ended: string[] = [];
  const service = {
    Create: async (lease: { id: string; labels: Record<string, string> }) =>
      void made.push({ ...lease, createdAt: null }),
    List: async () => ({ leases: made }),
    Delete: async ({ id }: { id: string }) => {
      ended.push(id);
      if (ended.length === 1) throw fault("NOT_FOUND", "gone");
    },
  };
  const session = { client: () => service, scoped: {} } as unknown as Session;
  for (let many = 0; many < 3; many += 1) await openCopyLease(session);
  for (const { labels } of made.slice(0, 2)) {
    for (const name of Object.keys(labels)) labels[name] = labels[name]!.replace(/\d+$/, "1");
  }
  await endLeftLeases(session);
  assert.deepEqual(
    ended,
    made.slice(0, 2).map(({ id }) => id),
  );
});
