// SPDX-License-Identifier: Apache-2.0
// Makes package-lock.json anew after a change of package.json: `npm run lock`.
//
// npm writes two things there that tie it to one registry: the server each package came from, and,
// for tools with a binary for each platform, the names of binaries that this registry does not carry.
// `npm ci` then refuses the file. Both are taken out; Berth runs on Linux, x64 and arm64, alone.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { run } from "../src/base/process.ts";

interface LockedPackage {
  resolved?: string;
  optionalDependencies?: Record<string, string>;
}

const root = path.resolve(import.meta.dirname, "..");
const file = path.join(root, "package-lock.json");

await run(
  "npm",
  ["install", "--package-lock-only", "--no-audit", "--no-fund", "--loglevel=error"],
  { cwd: root },
);
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, LockedPackage> };
for (const [place, entry] of Object.entries(lock.packages)) {
  delete entry.resolved;
  for (const name of Object.keys(entry.optionalDependencies ?? {})) {
    const isLocked =
      `node_modules/${name}` in lock.packages || `${place}/node_modules/${name}` in lock.packages;
    if (!isLocked && place !== "") delete entry.optionalDependencies?.[name];
  }
  if (Object.keys(entry.optionalDependencies ?? {}).length === 0) delete entry.optionalDependencies;
}
writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`);
