// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { staysDown } from "./stays-down.ts";

const soon = { downMs: 60_000, steadyMs: 1, lookMs: 2 };
const call = { signal: new AbortController().signal };

function kubelet(runsAt: (look: number) => boolean) {
  let looks = -1;
  const said: string[] = [];
  return {
    said,
    looks: () => looks + 1,
    kubeletRuns: () => Promise.resolve(runsAt((looks += 1))),
    say: (line: string) => void said.push(line),
  };
}

test("a kubelet that is away between two starts is not down", async () => {
  const restarted = kubelet((look) => look > 3);
  assert.equal(await staysDown({ ...restarted, downTimes: soon }, call), false);
  assert.ok(restarted.looks() >= 6, "and is told from one that ends at once by a second look");
  assert.match(restarted.said.join("\n"), /^waiting: no kubelet runs/);
});

test("one that runs costs one look, and nothing is said", async () => {
  const runs = kubelet(() => true);
  assert.equal(await staysDown({ ...runs, downTimes: soon }, call), false);
  assert.deepEqual([runs.looks(), runs.said], [1, []]);
});

test("one that never comes, or ends soon after each start, is down", async () => {
  for (const runsAt of [() => false, (look: number) => look % 3 === 1]) {
    const loops = kubelet(runsAt);
    const downTimes = { ...soon, downMs: 500, steadyMs: 60_000 };
    assert.equal(await staysDown({ ...loops, downTimes }, call), true);
    assert.ok(loops.looks() > 2, `${loops.looks()} looks`);
  }
});

test("whoever waits for it can end that", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  const waiting = staysDown({ ...kubelet(() => false), downTimes: soon }, { signal });
  await assert.rejects(waiting, /enough/);
});
