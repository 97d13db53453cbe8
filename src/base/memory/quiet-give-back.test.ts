// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { QuietGiveBack, StartsEnd } from "./quiet-give-back.ts";

const mib = 2 ** 20;

function world() {
  const state = { now: 0, cpuMs: 0, fileBytes: 50 * mib, given: 0 };
  const quiet = new QuietGiveBack({
    now: () => state.now,
    cpuMs: () => state.cpuMs,
    fileBytes: () => state.fileBytes,
    giveBack: async () => {
      state.given += 1;
      state.fileBytes = 2 * mib;
    },
  });
  /** Five seconds, in which it works so long and maps so much. */
  const pass = async (cpuMs: number, bytes = 0): Promise<number> => {
    state.now += 5_000;
    state.cpuMs += cpuMs;
    state.fileBytes += bytes;
    await quiet.look();
    return state.given;
  };
  return { pass };
}

suite("giving back in quiet", () => {
  test("waits until a burst is over, and for the next one", async () => {
    const { pass } = world();
    assert.equal(await pass(4_000), 0); // it works
    assert.equal(await pass(100), 1);
    assert.equal(await pass(100, 18 * mib), 1); // what quiet itself needs
    assert.equal(await pass(100, mib), 1);
    assert.equal(await pass(3_000, 20 * mib), 1);
    assert.equal(await pass(50), 2);
  });

  test("is not done over and over when all is wanted again at once", async () => {
    const { pass } = world();
    assert.equal(await pass(10), 1);
    for (let i = 0; i < 10; i += 1) assert.equal(await pass(10, i === 0 ? 48 * mib : 0), 1);
  });
});

suite("a start's end", () => {
  const secondsUntilIt = (cpuMsOf: (second: number) => number): number => {
    const state = { now: 0, cpuMs: 0 };
    const end = new StartsEnd({ now: () => state.now, cpuMs: () => state.cpuMs });
    for (let second = 1; second < 100; second += 1) {
      state.now += 1_000;
      state.cpuMs += cpuMsOf(second);
      if (end.hasCome()) return second;
    }
    return Number.NaN;
  };

  test("comes in the first quiet second", () => {
    assert.equal(
      secondsUntilIt(() => 5),
      1,
    );
    assert.equal(
      secondsUntilIt((second) => (second < 3 ? 300 : 5)),
      3,
    );
  });

  test("is not put off for ever", () => {
    assert.equal(
      secondsUntilIt(() => 900),
      4,
    );
  });
});
