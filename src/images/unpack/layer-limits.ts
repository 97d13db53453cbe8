// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";

// What a layer may cost grows with the size of its blob: a small blob must not keep a core busy for an hour.

const gib = 2 ** 30;
const mib = 2 ** 20;
/** gzip cannot inflate further than 1032 to 1. */
const inflation = 1100;
/** zstd can, 30000 to 1. A layer of nothing but zeros may always have this much. */
const freeBytes = 16 * gib;
/** A million files take one or two minutes of a slow core, and their headers alone are 30 MiB, compressed. */
const freeCpuMs = 600_000;
const cpuMsPerMiB = 2000;
const lookEveryMs = 500;

/** How much a blob may inflate to. */
export function inflatedLimit(blobBytes: number): number {
  return freeBytes + inflation * blobBytes;
}

/** How much of a processor a blob's extraction may take, in milliseconds. */
export function cpuLimit(blobBytes: number): number {
  return freeCpuMs + Math.ceil(blobBytes / mib) * cpuMsPerMiB;
}

/**
 * Checks this process's processor time, to be called for each step of the work. RESOURCE_EXHAUSTED once it has used
 * more than the limit from now on.
 */
export function cpuWatch(
  limitMs: number,
  { used, everyMs }: { used: () => number; everyMs: number } = {
    used: cpuMs,
    everyMs: lookEveryMs,
  },
): () => void {
  const usedBefore = used();
  let lookedAt = performance.now();
  return () => {
    const at = performance.now();
    if (at - lookedAt < everyMs) return;
    lookedAt = at;
    if (used() - usedBefore <= limitMs) return;
    throw fault(
      "RESOURCE_EXHAUSTED",
      `layer takes more than ${limitMs / 1000} s of processor time, too much for its size`,
    );
  };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
