// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { until } from "../../test/support/until.ts";
import { startWatchdog, type WatchdogEnvironment, watchdogMs } from "./watchdog.ts";

suite("watchdog", () => {
  const cases: readonly (readonly [string, WatchdogEnvironment, number | undefined])[] = [
    ["none", {}, undefined],
    ["a minute", { WATCHDOG_USEC: "60000000" }, 20_000],
    ["this process's", { WATCHDOG_USEC: "3000000", WATCHDOG_PID: "7" }, 1_000],
    ["another process's", { WATCHDOG_USEC: "3000000", WATCHDOG_PID: "8" }, undefined],
    ["next to no time", { WATCHDOG_USEC: "1" }, 1],
    ["no number", { WATCHDOG_USEC: "1min" }, undefined],
    ["zero", { WATCHDOG_USEC: "0" }, undefined],
  ];
  for (const [what, env, expected] of cases) {
    test(`${what}: ${expected ?? "nothing is told"}`, () => {
      assert.equal(watchdogMs(env, 7), expected);
    });
  }

  test("it is told at once, again and again, and no more once it is ended", async () => {
    const told: string[] = [];
    const watchdog = startWatchdog({ WATCHDOG_USEC: "3000" }, (state) => void told.push(state));
    assert.deepEqual(told, ["WATCHDOG=1"]);
    await until("it is told three times", () => told.length >= 3);
    watchdog[Symbol.dispose]();
    const before = told.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(told.length, before);
    using _none = startWatchdog({}, (state) => void told.push(state));
    assert.equal(told.length, before);
  });
});
