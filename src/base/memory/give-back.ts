// SPDX-License-Identifier: Apache-2.0
import { writeFile } from "node:fs/promises";
import path from "node:path";
import v8 from "node:v8";
import vm from "node:vm";
import { libc } from "../os/libc.ts";
import type { MemoryLimit } from "./memory-limit.ts";

type Collect = (
  options:
    | { type: "minor"; execution: "sync" }
    | { type: "major"; execution: "sync"; flavor: "regular" | "last-resort" },
) => void;

const mib = 2 ** 20;
/** The kernel looks at all that the cgroup has. */
const kernelGivesEveryMs = 30_000;
let kernelGaveAt = Number.NEGATIVE_INFINITY;
/** What this thread keeps for later is given back no more often than this. */
const ownGivesEveryMs = 3_000;
let ownGaveAt = Number.NEGATIVE_INFINITY;
let collect: Collect | undefined;
let trim: ((pad: number) => number) | undefined;

/** Collects what this thread made last and has given up, buffers too; it takes a millisecond or two. */
export function collectYoung(): void {
  collect ??= collector();
  collect({ type: "minor", execution: "sync" });
}

/** Collects this thread's garbage, buffers too; it takes some hundredths of a second. */
export function collectOwn(): void {
  collect ??= collector();
  collect({ type: "major", execution: "sync", flavor: "regular" });
}

/**
 * Gives back what this thread's heap and the C library keep for later: after a load that is most of what the
 * daemon has. It takes a tenth of a second.
 */
export function giveBackOwn(): void {
  collect ??= collector();
  collect({ type: "major", execution: "sync", flavor: "last-resort" });
  try {
    trim ??= libc("int malloc_trim(size_t pad)") as unknown as (pad: number) => number;
    trim(0);
  } catch {
    trim = () => 0; // a C library that has no such thing
  }
}

/** The same, now and then; whether it was done. */
export function gaveBackOwn(): boolean {
  const now = performance.now();
  if (now - ownGaveAt < ownGivesEveryMs) return false;
  ownGaveAt = now;
  giveBackOwn();
  return true;
}

/**
 * Has the kernel take back what it can of a cgroup, now and then: names and inodes of files that were looked at
 * count in it, and cgroup v1 does not report how many. It does so by itself only when all is taken. Whoever asks
 * for memory next has it.
 */
export function giveBackKernels({ cgroup, isV2 }: MemoryLimit): void {
  const now = performance.now();
  if (cgroup === undefined || now - kernelGaveAt < kernelGivesEveryMs) return;
  kernelGaveAt = now;
  const [file, text] = isV2 ? ["memory.reclaim", String(32 * mib)] : ["memory.force_empty", "0"];
  // Where the kernel has no such file, or had less than that to give: nothing is lost.
  void writeFile(path.join(cgroup, file), text).catch(() => {});
}

/** Node has no other way to V8's collector. */
function collector(): Collect {
  v8.setFlagsFromString("--expose-gc");
  return vm.runInNewContext("gc") as Collect;
}
