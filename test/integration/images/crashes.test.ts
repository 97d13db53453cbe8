// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { sweepCrashes } from "./crash-sweep.ts";

// A few points of the sweep; test/e2e/conformance/crashes.test.ts has all.

const skip = process.getuid?.() === 0 ? false : "needs root";

test("a pull that is killed at any change to the disk leaves nothing half", { skip }, async () => {
  assert.equal(await sweepCrashes("pull", [25, 70]), 2);
});

test("so does a load, and a removal", { skip }, async () => {
  assert.equal(await sweepCrashes("load", [60]), 1);
  assert.equal(await sweepCrashes("remove", [7]), 1);
});
