// SPDX-License-Identifier: Apache-2.0
// Writes docs/configuration.md from the configuration's own table of keys.
// `npm run docs` writes, `npm run docs -- --check` only compares and exits 1 when it differs.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { renderReference } from "../src/config/reference.ts";

const target = path.resolve(import.meta.dirname, "../docs/configuration.md");
const text = renderReference();
if (process.argv.includes("--check")) {
  let current = "";
  try {
    current = readFileSync(target, "utf8");
  } catch {
    // a missing page is a stale one
  }
  if (current !== text) {
    process.stderr.write(
      "docs/configuration.md is out of date: run `npm run docs` and commit the result\n",
    );
    process.exitCode = 1;
  }
} else {
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, text);
}
