// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { nowNanos } from "./now.ts";

test("nowNanos is the wall clock, finer than a millisecond", () => {
  const before = BigInt(Date.now() - 1) * 1_000_000n;
  const times = Array.from({ length: 100 }, () => nowNanos());
  const after = BigInt(Date.now() + 1) * 1_000_000n;
  assert.ok(times.every((time) => time >= before && time <= after));
  assert.ok(times.some((time) => time % 1_000_000n !== 0n));
});

test("nothing else makes nanoseconds of the clock's milliseconds", () => {
  const root = path.resolve(import.meta.dirname, "..");
  const makes = /Date\.now\(\)\)?\s*\*\s*(?:1_?000_?000n?|1e6)\b/;
  assert.match("BigInt(Date.now()) * 1_000_000n", makes);
  const files = globSync("**/*.ts", { cwd: root });
  const bad = files.filter(
    (file) =>
      file !== "base/now.ts" &&
      !file.endsWith(".test.ts") &&
      makes.test(readFileSync(path.join(root, file), "utf8")),
  );
  assert.deepEqual(bad, []);
});
