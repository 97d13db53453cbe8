// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryRelief } from "./memory-relief.ts";

interface Bed {
  held: number;
  /** What the next giving back brings. */
  brings: number;
  now: number;
  readonly given: number[];
  readonly relief: MemoryRelief;
}

function bed(): Bed {
  const made: Bed = {
    held: 0,
    brings: 0,
    now: 0,
    given: [],
    relief: new MemoryRelief({
      limit: { bytes: 1200, cgroup: "/c", isV2: true },
      heldBytes: () => made.held,
      giveBack: () => {
        made.given.push(made.now);
        made.held -= made.brings;
      },
      now: () => made.now,
    }),
  };
  return made;
}

test("what large messages leave is collected once it is much and the cgroup fills up", () => {
  const it = bed();
  it.held = 700;
  for (let at = 0; at < 10; at += 1) it.relief.spent(60);
  assert.equal(it.given.length, 0);
  it.held = 800;
  it.relief.spent(1);
  assert.equal(it.given.length, 1);
  it.relief.spent(99);
  assert.equal(it.given.length, 1);
  it.relief.spent(1);
  assert.equal(it.given.length, 2);
});

test("a thread's buffers of a moment are collected as they grow, while the cgroup fills up", () => {
  let buffers = 40;
  let young = 0;
  let held = 1000;
  let now = 0;
  const relief = new MemoryRelief({
    limit: { bytes: 1200, cgroup: "/c", isV2: true },
    heldBytes: () => held,
    giveBack: () => {},
    bufferBytes: () => buffers,
    giveBackYoung: () => {
      young += 1;
      buffers = 10;
    },
    now: () => now,
  });
  relief.look(); // what the whole heap gives back is seen to first, and then after a pause
  const looks = (bytes: number): number => {
    now += 100;
    buffers = bytes;
    relief.look();
    return young;
  };
  assert.equal(looks(40), 0);
  assert.equal(looks(64), 0);
  assert.equal(looks(65), 1);
  assert.equal(looks(34), 1);
  assert.equal(looks(35), 2);
  held = 700;
  assert.equal(looks(500), 2);
});

test("a thread collects while the cgroup is full, and less and less often when it brings nothing", () => {
  const it = bed();
  const look = (seconds: number): number => {
    it.given.length = 0;
    for (const end = it.now + seconds * 1000; it.now < end; it.now += 500) it.relief.look();
    return it.given.length;
  };
  it.held = 700;
  assert.equal(look(10), 0);
  it.held = 100_000;
  it.brings = 30;
  assert.equal(look(20), 10);
  it.brings = 0;
  const first = look(30);
  const later = look(300);
  assert.ok(first >= 3 && first <= 4, `${first}`);
  assert.ok(later >= 5 && later <= 6, `${later}`);
  it.brings = 30;
  it.now += 60_000;
  assert.equal(look(20), 10);
});

test("a thread that waits because collecting brought nothing collects when it is asked to", () => {
  const given: number[] = [];
  let now = 0;
  let calls = 0;
  const relief = new MemoryRelief({
    limit: { bytes: 1200, cgroup: "/c", isV2: true },
    heldBytes: () => 1100,
    giveBack: () => given.push(now),
    calls: () => calls,
    now: () => now,
  });
  for (; now < 100_000; now += 500) relief.look();
  const before = given.length;
  calls += 1;
  relief.look();
  relief.look();
  assert.equal(given.length, before + 1);
});

test("without a limit nothing is ever collected", () => {
  const it = bed();
  const free = new MemoryRelief({
    limit: { bytes: 1, cgroup: undefined, isV2: false },
    heldBytes: () => 0,
    giveBack: () => it.given.push(0),
  });
  free.spent(1e12);
  free.look();
  assert.equal(it.given.length, 0);
});
