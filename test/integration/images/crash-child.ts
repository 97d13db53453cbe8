// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

// Does one thing with the images of a folder, and kills itself at a chosen one of the changes that its main thread makes
// to the disk. What it writes to the database, and what extracts its layers, runs beside that, and is wherever it is.

const [, , root = "", verb = "", what = "", point = "0"] = process.argv;
let left = Number.POSITIVE_INFINITY;

function changed(): void {
  left -= 1;
  if (left <= 0) process.kill(process.pid, "SIGKILL");
}

type Method = (...args: unknown[]) => unknown;

/** Counts a method's calls, before and after each. */
function count(target: object, name: string): void {
  const original: unknown = Reflect.get(target, name);
  if (typeof original !== "function") throw new TypeError(`there is no ${name}`);
  const counted = function counted(this: unknown, ...args: unknown[]): unknown {
    changed();
    const result = (original as Method).apply(this, args);
    if (!(result instanceof Promise)) {
      changed();
      return result;
    }
    return result.finally(changed);
  };
  Reflect.set(target, name, counted);
}

for (const name of ["mkdir", "rename", "rm", "writeFile", "rmdir", "unlink", "chmod"]) {
  count(fs.promises, name);
}
for (const name of ["renameSync", "rmSync", "mkdirSync", "writeFileSync"]) count(fs, name);
const probe = await fs.promises.open("/dev/null");
const handles: unknown = Object.getPrototypeOf(probe);
await probe.close();
if (typeof handles !== "object" || handles === null)
  throw new TypeError("handles have no prototype");
for (const name of ["write", "sync", "truncate"]) count(handles, name);
syncBuiltinESMExports();

const { openSwept } = await import("./disk-sweep.ts");
await using library = await openSwept(root);
const call = { signal: AbortSignal.timeout(240_000) };
left = Number(point);
if (verb === "pull") await library.images.pull(what, call);
else if (verb === "load") await library.images.load(what, { name: "loaded", ...call });
else await library.images.remove(what, call);
