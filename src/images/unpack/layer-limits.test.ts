// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuLimit, cpuWatch, inflatedLimit } from "./layer-limits.ts";

const mib = 2 ** 20;
const gib = 2 ** 30;

test("a layer may inflate as far as gzip can, and zeros to some GiB, but not a small blob to a TiB", () => {
  assert.ok(inflatedLimit(100 * mib) > 1032 * 100 * mib);
  assert.ok(inflatedLimit(330_000) > 10 * gib); // zstd's of 10 GiB of zeros
  assert.ok(inflatedLimit(32 * mib) < 64 * gib);
});

test("a layer may take processor time by its blob's size", () => {
  assert.equal(cpuLimit(32 * mib), 664_000);
  let used = 5000;
  const check = cpuWatch(1000, { used: () => used, everyMs: 0 });
  used = 6000;
  check();
  used = 6001;
  assert.throws(check, { code: "RESOURCE_EXHAUSTED", message: /more than 1 s of processor time/ });
});
