// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { IdleExtractors, type Keepable } from "./idle-extractors.ts";

class Fake implements Keepable {
  isRunning = true;
  readonly ended = Promise.withResolvers<void>();

  [Symbol.dispose](): void {
    this.isRunning = false;
    this.ended.resolve();
  }
}

const hourMs = 3_600_000;

function keeping(keepMs: number, signal?: AbortSignal): IdleExtractors<Fake> {
  return new IdleExtractors({
    start: () => new Fake(),
    atMost: 2,
    keepMs,
    ...(signal && { signal }),
  });
}

test("IdleExtractors keeps what is given back for the next work, and no more than so many", () => {
  const shutdown = new AbortController();
  const idle = keeping(hourMs, shutdown.signal);
  const first = idle.working();
  const [one, two, three] = [new Fake(), new Fake(), new Fake()];
  assert.deepEqual(
    [one, two, three].map((it) => idle.giveBack(it)),
    [true, true, false],
  );
  first[Symbol.dispose]();
  using _next = idle.working();
  assert.equal(idle.take(), two);
  assert.equal(idle.take(), one);
  assert.equal(idle.take(), undefined);
  shutdown.abort();
});

test("IdleExtractors ends them some time after the last work", async () => {
  const idle = keeping(1);
  const work = [idle.working(), idle.working()];
  const one = new Fake();
  idle.giveBack(one);
  work[0]?.[Symbol.dispose]();
  work[0]?.[Symbol.dispose](); // a second time: nothing
  assert.equal(one.isRunning, true);
  work[1]?.[Symbol.dispose]();
  await one.ended.promise;
  assert.equal(idle.take(), undefined);
});

test("IdleExtractors ends them with the last work where none are to stay", () => {
  const idle = keeping(0);
  const work = idle.working();
  const one = new Fake();
  idle.giveBack(one);
  work[Symbol.dispose]();
  assert.equal(one.isRunning, false);
  assert.equal(idle.giveBack(new Fake()), false);
});

test("IdleExtractors hands out none that has ended meanwhile", () => {
  const idle = keeping(hourMs);
  using _work = idle.working();
  const [one, dead] = [new Fake(), new Fake()];
  idle.giveBack(one);
  idle.giveBack(dead);
  dead.isRunning = false;
  assert.equal(idle.take(), one);
});

test("IdleExtractors ends all with its signal, and keeps none after it", () => {
  const shutdown = new AbortController();
  const idle = keeping(hourMs, shutdown.signal);
  const work = idle.working();
  const one = new Fake();
  idle.giveBack(one);
  shutdown.abort();
  assert.equal(one.isRunning, false);
  assert.equal(idle.giveBack(new Fake()), false);
  work[Symbol.dispose]();
});
