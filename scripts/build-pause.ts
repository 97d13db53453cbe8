// SPDX-License-Identifier: Apache-2.0
// Builds the sandbox's first process: src/pause/*.c → build/pause-amd64 or build/pause-arm64.
// Does nothing when the result is newer than its sources; `--force` builds all the same.
import { statSync } from "node:fs";
import path from "node:path";
import { pauseBinaryPath } from "../src/pause/pause-binary.ts";
import { compilePause, pauseSources } from "./package/compile-pause.ts";

const target = pauseBinaryPath();

if (process.argv.includes("--force") || !isFresh()) {
  await compilePause("gcc", process.arch, target);
  process.stdout.write(`built ${path.relative(process.cwd(), target)}\n`);
}

function isFresh(): boolean {
  try {
    const builtMs = statSync(target).mtimeMs;
    return pauseSources("headers").every((source) => builtMs >= statSync(source).mtimeMs);
  } catch {
    return false;
  }
}
