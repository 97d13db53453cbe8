// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { type Logger, silentLogger } from "./logger.ts";
import { logSlowWork } from "./slow-work.ts";

test("slow work is told of after 5 s, then ever more rarely, with what it waits for, until it is done", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const told: unknown[] = [];
    const log: Logger = { ...silentLogger, warn: ({ at }, message) => told.push([at, message]) };
    let at = "";
    const work = logSlowWork({ log, fields: () => ({ at }), message: "not done yet" });
    const pass = (seconds: number, where: string): void => {
      at = where;
      mock.timers.tick(seconds * 1000);
    };
    pass(4, "4 s");
    pass(1, "5 s");
    pass(9, "14 s");
    pass(1, "15 s");
    pass(20, "35 s");
    const expected = ["5 s", "15 s", "35 s"].map((each) => [each, "not done yet"]);
    assert.deepEqual(told, expected);
    work[Symbol.dispose]();
    pass(1000, "done");
    assert.deepEqual(told, expected);
  } finally {
    mock.timers.reset();
  }
});
