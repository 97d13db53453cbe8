// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { stallMs } from "./download.ts";

test("a host that stalls in the middle of a layer gives way sooner where others are left", () => {
  assert.equal(stallMs(0, 300_000), 300_000);
  assert.equal(stallMs(0, 0), 0); // the operator waits for ever
  assert.equal(stallMs(1, 300_000), 30_000);
  assert.equal(stallMs(2, 0), 30_000);
  assert.equal(stallMs(1, 10_000), 10_000);
});
