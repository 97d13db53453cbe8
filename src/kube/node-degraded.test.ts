// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { NodeDegraded } from "./node-degraded.ts";

const minute = 60_000;
const stuck = { rpc: "RunPodSandbox", stage: "network" };

suite("the condition RuntimeDegraded", () => {
  test("is told at first, when it changes, and every five minutes", () => {
    const degraded = new NodeDegraded();
    const told: string[] = [];
    for (let now = 0; now <= 20 * minute; now += 10_000) {
      const isStuck = now >= 6 * minute && now < 8 * minute;
      degraded.look(isStuck ? [stuck, { ...stuck }] : [], now);
      const due = degraded.due(now);
      if (!due) continue;
      told.push(
        `${now / minute} ${due.status} since ${Date.parse(due.lastTransitionTime) / minute}`,
      );
      degraded.taken(due, now);
      if (isStuck) assert.match(due.message, /^hangs: RunPodSandbox at stage "network";/);
    }
    assert.deepEqual(
      told.map((line) => line.replace(/(\.\d\d)\d+/g, "$1")),
      [
        "0 False since 0",
        "5 False since 0",
        "6 True since 6",
        "8.83 False since 8.83", // a minute after the last that hung
        "13.83 False since 8.83",
        "18.83 False since 8.83",
      ],
    );
  });

  test("what was not taken is told again", () => {
    const degraded = new NodeDegraded();
    degraded.look([stuck], 0);
    assert.equal(degraded.due(0)?.status, "True");
    assert.equal(degraded.due(1)?.status, "True");
  });

  test("ends as Unknown, where it was ever told", () => {
    const degraded = new NodeDegraded();
    degraded.look([], 0);
    assert.equal(degraded.farewell(0), undefined);
    const due = degraded.due(0);
    assert.ok(due);
    degraded.taken(due, 0);
    assert.equal(degraded.farewell(minute)?.status, "Unknown");
  });
});
