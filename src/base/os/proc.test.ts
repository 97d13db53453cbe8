// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hasEnded, identify, isAlive, parseStat, unreapedExit } from "./proc.ts";

for (const [signal, expected] of [
  ["SIGTERM", 7],
  ["SIGKILL", 137],
] as const) {
  test(`the exit of a process that nobody reaps is read: ${signal}`, async (t) => {
    // The parent becomes a program that waits for no child.
    const script = `sh -c 'trap "exit 7" TERM; echo $$; while :; do sleep 0.05; done' & exec sleep 600`;
    const parent = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore"] });
    t.after(() => parent.kill("SIGKILL"));
    const [said] = (await once(parent.stdout, "data")) as [Buffer];
    const child = identify(Number(said.toString()));
    assert.ok(child);
    assert.deepEqual([hasEnded(child), unreapedExit(child)], [false, undefined]);
    process.kill(child.pid, signal);
    while (isAlive(child)) await sleep(5);
    assert.deepEqual([hasEnded(child), unreapedExit(child)], [true, expected]);
    const earlier = { ...child, startTime: "1" };
    assert.deepEqual([hasEnded(earlier), unreapedExit(earlier)], [true, undefined]);
  });
}

test("a process whose threads have all ended is over, though who traces them holds them", () => {
  const stat = `7 (held) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 900 0`;
  assert.equal(parseStat(7, stat, () => 8)?.startTime, "900");
  assert.equal(
    parseStat(7, stat, () => undefined),
    undefined,
  );
});
