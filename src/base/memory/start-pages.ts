// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { libc } from "../os/libc.ts";

/** Of a mapping's first line in smaps: from where to where, what is allowed, which file. */
const firstLine = /^(?<from>[\da-f]+)-(?<to>[\da-f]+) (?<may>\S{4}) \S+ \S+ \d+ +(?<file>\/.*)$/;
/** Pages of the process's own in a mapping: those in memory, and those in swap. */
const ownPages = /^(?<where>Anonymous|Swap): +(?<kib>\d+) kB$/;
const dontNeed = 4;
const cMadvise = libc("int madvise(uintptr_t at, size_t length, int advice)");

/** A part of the address space. */
interface Span {
  readonly from: number;
  readonly bytes: number;
}

/**
 * Unmaps the pages of programs and libraries that this process has touched so far, most of which only a start needs:
 * Node's snapshot and the code that reads it, and with each page that was wanted the kernel maps fifteen more around. They
 * stay in the page cache, as any file; what is wanted again is mapped again, in a millisecond altogether. Answers how
 * many bytes of the address space that were; none where the kernel does not tell.
 */
export async function dropStartPages(): Promise<number> {
  const smaps = await readFile("/proc/self/smaps", "latin1").catch(() => "");
  let bytes = 0;
  for (const span of unchangedSpans(smaps)) {
    if (cMadvise(span.from, span.bytes, dontNeed) === 0) bytes += span.bytes;
  }
  return bytes;
}

/**
 * Mappings that are nothing but their files: of no use are those that may be written, and one with a page that differs from
 * its file, such as what the linker has relocated, would lose it. Such a page may be in swap, so a kernel that does
 * not tell what is there has none. Data is taken of the program alone: a library's may be about to be relocated.
 */
export function unchangedSpans(smaps: string, program = process.execPath): Span[] {
  const found: Span[] = [];
  let last: Span | undefined;
  let unchanged = new Set<string>();
  for (const line of smaps.split("\n")) {
    const { from, to, may, file } = firstLine.exec(line)?.groups ?? {};
    const { where, kib } = ownPages.exec(line)?.groups ?? {};
    if (from !== undefined && to !== undefined) {
      const at = Number.parseInt(from, 16);
      const isTaken = may === "r-xp" || (may === "r--p" && file === program);
      last = isTaken ? { from: at, bytes: Number.parseInt(to, 16) - at } : undefined;
      unchanged = new Set();
    } else if (/^[\da-f]+-/.test(line)) {
      last = undefined;
    } else if (last !== undefined && where !== undefined && kib === "0") {
      unchanged.add(where);
      if (unchanged.size < 2) continue;
      found.push(last);
      last = undefined;
    }
  }
  return found;
}
