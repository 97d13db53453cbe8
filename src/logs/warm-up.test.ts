// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { warmUp } from "./warm-up.ts";

test("the warm-up takes lines all the way, and leaves no descriptor open", () => {
  warmUp();
  const before = readdirSync("/proc/self/fd").length;
  assert.ok(warmUp() > 20);
  assert.equal(readdirSync("/proc/self/fd").length, before);
});
