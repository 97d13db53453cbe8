// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

const launcher = path.resolve(import.meta.dirname, "../../bin/berthd");

test("with the flags of bin/berthd, where memory is not short, Node uses the compiled code of its own modules", () => {
  const text = readFileSync(launcher, "utf8");
  const line = [...text.matchAll(/^berth_flags="(.*)"$/gm)].map(([, words]) => words).join(" ");
  const flags = line
    .replace("$berth_heap_mb", "512")
    .replace("$berth_young_mb", "16")
    .replace("$berth_young_least_mb", "4")
    .split(" ")
    .filter((word) => word.startsWith("--"));
  assert.ok(flags.includes("--max-old-space-size=512"), line);
  const program = `
    const { internalBinding } = require("internal/test/binding");
    require("https");
    const { compiledWithCache, compiledWithoutCache } = internalBinding("builtins").getCacheUsage();
    console.log(JSON.stringify([[...compiledWithCache], [...compiledWithoutCache]]));`;
  const argv = [...flags, "--no-warnings", "--expose-internals", "-e", program];
  const out = execFileSync(process.execPath, argv, { encoding: "utf8", timeout: 60_000 });
  const [withCache, without] = JSON.parse(out) as [string[], string[]];
  assert.ok(withCache.length > 10, out);
  assert.deepEqual(without, []);
});
