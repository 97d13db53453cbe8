// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { EventEmitter, getEventListeners } from "node:events";
import { suite, test } from "node:test";
import {
  allSettled,
  nextEvent,
  settlesWithin,
  unlessAborted,
  untilAborted,
  within,
} from "./waits.ts";

const reason = new Error("enough");
const broken = new Error("broken");
const longMs = 3_600_000;

/** What each wait for a piece of work answers, or `failed` with the error. */
const waits = {
  unlessAborted: (work: Promise<string>, signal: AbortSignal) => unlessAborted(work, signal),
  untilAborted: (work: Promise<string>, signal: AbortSignal) => untilAborted(work, signal),
  within: (work: Promise<string>, signal: AbortSignal) => within(work, longMs, signal),
};
type Outcome = string | undefined | { readonly failed: unknown };

const never = (): Promise<string> => new Promise(() => {});
const cases: readonly {
  readonly what: string;
  readonly work: () => Promise<string>;
  readonly abort?: "before" | "meanwhile";
  readonly expected: Readonly<Record<keyof typeof waits, Outcome>>;
}[] = [
  {
    what: "work that is done",
    work: async () => "done",
    expected: { unlessAborted: "done", untilAborted: "done", within: "done" },
  },
  {
    what: "work that fails",
    work: () => Promise.reject(broken),
    expected: {
      unlessAborted: { failed: broken },
      untilAborted: { failed: broken },
      within: { failed: broken },
    },
  },
  ...(["before", "meanwhile"] as const).map((abort) => ({
    what: `work that never ends, and a signal that fires ${abort}`,
    work: never,
    abort,
    expected: {
      unlessAborted: { failed: reason },
      untilAborted: undefined,
      within: { failed: reason },
    },
  })),
  {
    what: "work that is done, and a signal that fired before",
    work: async () => "done",
    abort: "before",
    expected: {
      unlessAborted: { failed: reason },
      untilAborted: undefined,
      within: { failed: reason },
    },
  },
  {
    what: "work that fails, and a signal that fired before",
    work: () => Promise.reject(broken),
    abort: "before",
    expected: {
      unlessAborted: { failed: reason },
      untilAborted: undefined,
      within: { failed: reason },
    },
  },
];

for (const name of ["unlessAborted", "untilAborted", "within"] as const) {
  suite(name, () => {
    for (const { what, work, abort, expected } of cases) {
      test(what, async () => {
        const control = new AbortController();
        if (abort === "before") control.abort(reason);
        const wait: Promise<Outcome> = waits[name](work(), control.signal).catch(
          (failed: unknown) => ({ failed }),
        );
        if (abort === "meanwhile") control.abort(reason);
        assert.deepEqual(await wait, expected[name]);
        assert.equal(getEventListeners(control.signal, "abort").length, 0);
      });
    }
  });
}

test("unlessAborted waits for the work alone when there is no signal", async () => {
  assert.equal(await unlessAborted(Promise.resolve(1), undefined), 1);
});

test("within and settlesWithin end with their time, and do without the work", async () => {
  assert.equal(await within(never(), 1), undefined);
  assert.equal(await settlesWithin(never(), 1), false);
  assert.equal(await settlesWithin(Promise.resolve(), longMs), true);
  assert.equal(await settlesWithin(Promise.reject(broken), longMs), true);
});

suite("allSettled", () => {
  test("comes to what all of it comes to", async () => {
    assert.deepEqual(await allSettled([Promise.resolve(1), "two"]), [1, "two"]);
  });

  test("fails with the first of those that failed, once the others have ended", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const ends: string[] = [];
    const slow = promise.then(() => ends.push("slow"));
    const late = promise.then(() => Promise.reject(broken));
    const all = allSettled([slow, late, Promise.reject(reason)]).catch((error: unknown) => {
      ends.push("all");
      return error;
    });
    await new Promise(setImmediate);
    resolve();
    assert.equal(await all, broken);
    assert.deepEqual(ends, ["slow", "all"]);
  });
});

suite("nextEvent", () => {
  test("comes with the first of the events", async () => {
    const emitter = new EventEmitter();
    const wait = nextEvent(emitter, ["drain", "close"], new AbortController().signal);
    emitter.emit("close");
    await wait;
    assert.deepEqual(emitter.eventNames(), []);
  });

  for (const when of ["before", "meanwhile"] as const) {
    test(`ends with a signal that fires ${when}`, async () => {
      const emitter = new EventEmitter();
      const control = new AbortController();
      if (when === "before") control.abort(reason);
      const wait = assert.rejects(nextEvent(emitter, ["drain"], control.signal), reason);
      control.abort(reason);
      await wait;
      assert.deepEqual(emitter.eventNames(), []);
      assert.equal(getEventListeners(control.signal, "abort").length, 0);
    });
  }
});
