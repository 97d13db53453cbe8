// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { timeLimit } from "./deadline.ts";
import { run } from "./process.ts";

/** Timers that run, those included that keep no process alive. */
function countTimers(t: TestContext): () => number {
  let running = 0;
  const { setTimeout: start, clearTimeout: stop } = globalThis;
  const open = new Set<unknown>();
  t.mock.method(globalThis, "setTimeout", (...args: Parameters<typeof start>) => {
    const timer = start(...args);
    open.add(timer);
    running += 1;
    return timer;
  });
  t.mock.method(globalThis, "clearTimeout", (timer: Parameters<typeof stop>[0]) => {
    if (open.delete(timer)) running -= 1;
    stop(timer);
  });
  return () => running;
}

suite("timeLimit", () => {
  test("fires with the reason of AbortSignal.timeout", async () => {
    using limit = timeLimit(1);
    const { promise, resolve } = Promise.withResolvers<void>();
    limit.signal.addEventListener("abort", () => resolve());
    await promise;
    assert.equal((limit.signal.reason as Error).name, "TimeoutError");
  });

  test("fires with the reason of a signal before, or that has fired", () => {
    const reason = new Error("enough");
    const abort = new AbortController();
    using limit = timeLimit(100_000, abort.signal);
    abort.abort(reason);
    assert.equal(limit.signal.reason, reason);
    using late = timeLimit(100_000, abort.signal);
    assert.equal(late.signal.reason, reason);
  });

  test("leaves no timer once the work is done, nor does a program that was run", async (t) => {
    const count = countTimers(t);
    timeLimit(100_000)[Symbol.dispose]();
    await run("/bin/true", [], { timeoutMs: 100_000 });
    assert.equal(count(), 0);
  });
});
