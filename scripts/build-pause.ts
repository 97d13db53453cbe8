// SPDX-License-Identifier: Apache-2.0
// Builds the sandbox's first process: src/pause/pause.c → build/pause-amd64 or build/pause-arm64.
// Does nothing when the result is newer than the source; `--force` builds all the same.
import { mkdirSync, renameSync, statSync } from "node:fs";
import path from "node:path";
import { run } from "../src/base/process.ts";
import { pauseBinaryPath } from "../src/pause/pause-binary.ts";

const source = path.resolve(import.meta.dirname, "../src/pause/pause.c");
const target = pauseBinaryPath();
const flags = [
  "-std=c11",
  "-Os",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-nostdlib",
  "-static",
  "-no-pie",
  "-fno-pie",
  "-ffreestanding",
  "-fno-stack-protector",
  "-fno-asynchronous-unwind-tables",
  "-fcf-protection=none",
  "-fno-ident",
  "-s",
  "-Wl,--build-id=none",
  "-Wl,-z,noexecstack",
  "-Wl,-z,norelro",
];

if (process.argv.includes("--force") || !isFresh()) {
  mkdirSync(path.dirname(target), { recursive: true });
  const fresh = `${target}.${process.pid}`;
  const own = flags.filter((flag) => flag !== "-fcf-protection=none" || process.arch === "x64");
  await run("gcc", [...own, "-o", fresh, source]);
  renameSync(fresh, target);
  process.stdout.write(`built ${path.relative(process.cwd(), target)}\n`);
}

function isFresh(): boolean {
  try {
    return statSync(target).mtimeMs >= statSync(source).mtimeMs;
  } catch {
    return false;
  }
}
