// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { hangingStages } from "./hanging-stages.ts";

const stagesOf = (seconds: number) => {
  const names = ["image", "network", "criu"];
  const stages = names.map((stage) => ({ stage, seconds }));
  return hangingStages([{ rpc: "CreateContainer", object: "c", seconds, stages }]);
};

test("a stage that is merely large hangs after ten minutes, another after one", () => {
  const rpc = "CreateContainer";
  assert.deepEqual(stagesOf(70), [{ rpc, stage: "network" }]);
  const all = ["image", "network", "criu"].map((stage) => ({ rpc, stage }));
  assert.deepEqual(stagesOf(600), all);
});
