// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Random } from "../support/random.ts";
import { type QuietPoint, verdicts } from "./growth.ts";

const mib = 2 ** 20;

/** Quiet points of one daemon; `change` is told the number of each. */
function points(
  count: number,
  cyclesEach: number,
  change: (index: number) => Partial<QuietPoint>,
): QuietPoint[] {
  return Array.from({ length: count }, (_, index) => ({
    cycles: index * cyclesEach,
    kills: 0,
    seconds: index,
    pid: 1,
    census: new Map([["fds socket", 4]]),
    rss: 180 * mib,
    live: 40 * mib,
    ...change(index),
  }));
}

function faultsOf(found: readonly QuietPoint[]): string[] {
  return verdicts(found).flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`));
}

suite("growth", () => {
  test("of a count is any difference from the first", () => {
    const kept = points(5, 20, () => ({}));
    assert.deepEqual(faultsOf(kept), []);
    const grown = points(5, 20, (index) => ({
      census: new Map([
        ["fds socket", 4],
        ["rows of leases", index],
      ]),
    }));
    assert.deepEqual(faultsOf(grown), ["database rows: rows of leases: 0, then 4 after 80 cycles"]);
    const fewer = points(5, 20, (index) => ({
      census: new Map([["threads metadata", index === 0 ? 1 : 0]]),
    }));
    assert.match(faultsOf(fewer).join(), /threads metadata: 1, then 0/);
  });

  // What was seen: RSS after a collection goes up and down by some 15 MiB, live memory by half a MiB.
  const noise = (random: Random, size: number): number => (random.next() - 0.5) * size;
  const cases = [
    { name: "noise alone", leak: 0, isSeen: false },
    { name: "1 KiB a cycle", leak: 1024, isSeen: false },
    { name: "10 KiB a cycle", leak: 10 * 1024, isSeen: true },
  ];
  for (const key of ["rss", "live"] as const) {
    for (const { name, leak, isSeen } of cases) {
      test(`of ${key} in 10,000 cycles: ${name}`, () => {
        for (let seed = 1; seed <= 20; seed += 1) {
          const random = new Random(seed);
          const size = key === "rss" ? 15 * mib : mib / 2;
          const found = points(41, 250, (index) => ({
            [key]: 100 * mib + noise(random, size) + leak * 250 * index,
          }));
          const faults = faultsOf(found);
          assert.equal(faults.length > 0, isSeen, `seed ${seed}: ${faults.join("; ")}`);
        }
      });
    }
  }

  test("of RSS is told by its margin alone where points are few, of live memory by its trend too", () => {
    // Points of CI's soak of 100 cycles, in which live memory stayed what it was.
    const seen = [152.7, 163.9, 170.4, 182.7, 181.5];
    const found = points(5, 22, (index) => ({
      rss: (seen[index] ?? 0) * mib,
      live: (41 + index) * mib,
    }));
    const faults = faultsOf(found);
    assert.equal(faults.length, 1);
    assert.match(faults.join(), /^live memory: grows by/);
  });

  test("of RSS is told of daemons that live too short for a trend by its margin", () => {
    const found = points(4, 20, (index) => ({ pid: index, rss: (100 + index * 30) * mib }));
    assert.match(faultsOf(found).join(), /RSS: 190.0 MiB are more than 64.0 above the first 100.0/);
  });
});
