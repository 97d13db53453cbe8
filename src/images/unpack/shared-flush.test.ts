// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { SharedFlush } from "./shared-flush.ts";

const call = { signal: new AbortController().signal };

/** A flush whose runs end when told. */
function heldFlush(): { flush: SharedFlush; runs: PromiseWithResolvers<void>[] } {
  const runs: PromiseWithResolvers<void>[] = [];
  const flush = new SharedFlush(() => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  });
  return { flush, runs };
}

test("SharedFlush starts at once when nobody writes, and those who come meanwhile share the next", async () => {
  const { flush, runs } = heldFlush();
  const first = flush.run(call);
  await turn();
  const later = [flush.run(call), flush.run(call)];
  await turn();
  assert.equal(runs.length, 1);
  runs[0]?.resolve();
  await first;
  await turn();
  assert.equal(runs.length, 2);
  runs[1]?.resolve();
  await Promise.all(later);
});

test("SharedFlush waits for the writers", async () => {
  const { flush, runs } = heldFlush();
  const [one, other] = [flush.writing(), flush.writing()];
  one[Symbol.dispose]();
  const asked = flush.run(call);
  one[Symbol.dispose](); // a second time: nothing
  await turn();
  assert.equal(runs.length, 0);
  other[Symbol.dispose]();
  await turn();
  assert.equal(runs.length, 1);
  runs[0]?.resolve();
  await asked;
});

test("SharedFlush does not wait for ever", async (t: TestContext) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { flush, runs } = heldFlush();
  using _writing = flush.writing();
  const asked = flush.run(call);
  await Promise.resolve();
  t.mock.timers.tick(1000);
  await turn();
  assert.equal(runs.length, 1);
  runs[0]?.resolve();
  await asked;
});

test("a failed flush fails those who waited for it, and not the next", async () => {
  const { flush, runs } = heldFlush();
  const first = flush.run(call);
  await turn();
  const next = flush.run(call);
  runs[0]?.reject(new Error("disk"));
  await assert.rejects(first, /disk/);
  await turn();
  runs[1]?.resolve();
  await next;
});

test("SharedFlush waits no longer than its caller", async () => {
  const { flush } = heldFlush();
  const abort = new AbortController();
  const waiting = flush.run(abort);
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
});
