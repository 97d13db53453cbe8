// SPDX-License-Identifier: Apache-2.0
// Builds the sandbox's first process: src/pause/*.c → build/pause-amd64 or build/pause-arm64.
// Does nothing when the result is newer than its sources; `--force` builds all the same.
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import path from "node:path";
import { run } from "../src/base/process.ts";
import { pauseBinaryPath } from "../src/pause/pause-binary.ts";

const folder = path.resolve(import.meta.dirname, "../src/pause");
const named = (pattern: RegExp): string[] =>
  readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => path.join(folder, name));
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
  await run("gcc", [...own, "-o", fresh, ...named(/\.c$/)]);
  renameSync(fresh, target);
  process.stdout.write(`built ${path.relative(process.cwd(), target)}\n`);
}

function isFresh(): boolean {
  try {
    const builtMs = statSync(target).mtimeMs;
    return named(/\.[ch]$/).every((source) => builtMs >= statSync(source).mtimeMs);
  } catch {
    return false;
  }
}
