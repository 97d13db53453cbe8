// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync, renameSync } from "node:fs";
import path from "node:path";
import { run } from "../../src/base/process.ts";

const folder = path.resolve(import.meta.dirname, "../../src/pause");
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
  "-fno-ident",
  "-s",
  "-Wl,--build-id=none",
  "-Wl,-z,noexecstack",
  "-Wl,-z,norelro",
];

/** The sources of the sandbox's first process: its C files, and with "headers" what these include, too. */
export function pauseSources(with_: "headers" | "code" = "code"): string[] {
  return readdirSync(folder)
    .filter((name) => (with_ === "headers" ? /\.[ch]$/ : /\.c$/).test(name))
    .sort()
    .map((name) => path.join(folder, name));
}

/** Compiles the sandbox's first process for a machine of Node's name `arch`, with a compiler for it. */
export async function compilePause(compiler: string, arch: string, target: string): Promise<void> {
  mkdirSync(path.dirname(target), { recursive: true });
  const fresh = `${target}.${process.pid}`;
  const own = arch === "x64" ? ["-fcf-protection=none"] : [];
  await run(compiler, [...flags, ...own, "-o", fresh, ...pauseSources()]);
  renameSync(fresh, target);
}
