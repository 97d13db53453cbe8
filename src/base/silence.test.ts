// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, type TestContext, test } from "node:test";
import { Silence, SilenceFault } from "./silence.ts";

const limitMs = 1000;

/** Lets so much time pass in which nothing else happens. */
async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms);
  await new Promise((resolve) => setImmediate(resolve));
}

function newSilence(t: TestContext): Silence {
  mock.timers.enable({ apis: ["setTimeout"] });
  const silence = new Silence(limitMs);
  t.after(() => {
    silence[Symbol.dispose]();
    mock.timers.reset();
  });
  return silence;
}

test("a silence is too long when nothing was heard for its time", async (t) => {
  const silence = newSilence(t);
  await pass(limitMs - 1);
  assert.equal(silence.signal.aborted, false);
  await pass(1);
  assert.ok(silence.signal.reason instanceof SilenceFault);
  assert.equal(silence.signal.reason.message, "got nowhere for 1 s");
});

test("what came while this thread was held up counts, and the next silence is watched again", async (t) => {
  const silence = newSilence(t);
  mock.timers.tick(limitMs);
  silence.broken(); // read after the timers, before what setImmediate runs
  await pass(0);
  assert.equal(silence.signal.aborted, false);
  await pass(limitMs);
  assert.equal(silence.signal.aborted, true);
});

test("a pause of any length is no silence, and what follows it is watched again", async (t) => {
  const silence = newSilence(t);
  silence.pause();
  await pass(10 * limitMs);
  silence.resume();
  await pass(limitMs - 1);
  assert.equal(silence.signal.aborted, false);
  await pass(1);
  assert.equal(silence.signal.aborted, true);
});

test("one that is disposed says nothing, even in its last turn", async (t) => {
  const silence = newSilence(t);
  mock.timers.tick(limitMs);
  silence[Symbol.dispose]();
  await pass(0);
  assert.equal(silence.signal.aborted, false);
});
