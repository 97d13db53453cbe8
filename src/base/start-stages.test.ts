// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { StartStages } from "./start-stages.ts";

test("stages are told in order, each from the end of the one before, the first from the beginning", () => {
  let now = 40.4;
  const stages = new StartStages(() => now);
  stages.end("configuration");
  now = 100.6;
  stages.end("code");
  stages.end("pods");
  assert.deepEqual(Object.entries(stages.facts()), [
    ["configuration", 40],
    ["code", 60],
    ["pods", 0],
    ["all", 101],
  ]);
});
