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
/** How often at most: the kernel goes through all that the cgroup holds. */
const kernelGivesEveryMs = 30_000;
let kernelGaveAt = Number.NEGATIVE_INFINITY;
/** How often at most this thread gives back what it keeps for later. */
const ownGivesEveryMs = 3_000;
let ownGaveAt = Number.NEGATIVE_INFINITY;
let collect: Collect | undefined;
let trim: ((pad: number) => number) | undefined;

/** Collects this thread's young garbage, with its buffers; takes a millisecond or two. */
export function collectYoung(): void {
  collect ??= collector();
  collect({ type: "minor", execution: "sync" });
}

/** Collects all of this thread's garbage, with its buffers; takes some hundredths of a second. */
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
  trimOwn();
}

/** Gives back what the C library keeps for later; takes some milliseconds. */
export function trimOwn(): void {
  try {
    trim ??= libc("int malloc_trim(size_t pad)") as unknown as (pad: number) => number;
    trim(0);
  } catch {
    trim = () => 0; // not every C library has it
  }
}

/** The same, but not too often. Answers whether it was done. */
export function gaveBackOwn(): boolean {
  const now = performance.now();
  if (now - ownGaveAt < ownGivesEveryMs) return false;
  ownGaveAt = now;
  giveBackOwn();
  return true;
}

/**
 * Has the kernel take back what it can of a cgroup, but not too often. Names and inodes of files that were looked at
 * count in the cgroup, and cgroup v1 does not report how many. The kernel takes them back by itself only when nothing
 * else is left; memory that is asked for next can then use them.
 */
export function giveBackKernels({ cgroup, isV2 }: MemoryLimit): void {
  const now = performance.now();
  if (cgroup === undefined || now - kernelGaveAt < kernelGivesEveryMs) return;
  kernelGaveAt = now;
  const [file, text] = isV2 ? ["memory.reclaim", String(32 * mib)] : ["memory.force_empty", "0"];
  // Where the kernel has no such file, or had less to give, nothing is lost.
  void writeFile(path.join(cgroup, file), text).catch(() => {});
}

/** Node offers no other way to V8's collector. */
function collector(): Collect {
  v8.setFlagsFromString("--expose-gc");
  return vm.runInNewContext("gc") as Collect;
}
