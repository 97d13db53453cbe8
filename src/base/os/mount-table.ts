// SPDX-License-Identifier: Apache-2.0
import { open } from "node:fs/promises";
import { setImmediate as loopTurn } from "node:timers/promises";
import { errnoOf } from "../errors.ts";
import { unmount } from "./mount.ts";
import { type MountEntry, parseMountLine, unescapeBytes } from "./mountinfo.ts";

// A host has as many mounts as its pods make, up to fs.mount-max, 100,000. So nobody gets the whole table: it is read
// in pieces, between which the main thread does other work, and only what was asked for is kept.

const pieceBytes = 64 * 1024;
/** Longer than any line of the kernel's: four paths of 4 KiB, in which each byte may take four. */
const maxLineBytes = 256 * 1024;
const sliceMs = 4;

export interface MountTableOptions {
  /** Another table in tests. */
  readonly file?: string;
}

/** The mounts that hold some paths. Of several on one point it is the last, which hides the others. */
export class HoldingMounts {
  readonly #byPoint: ReadonlyMap<string, MountEntry>;

  constructor(mounts: Iterable<MountEntry>) {
    this.#byPoint = new Map(Array.from(mounts, (entry) => [entry.mountPoint, entry]));
  }

  /** What is mounted at a path; undefined when nothing is. */
  at(point: string): MountEntry | undefined {
    return this.#byPoint.get(point);
  }

  /** The mount that a path is on: the one at the path or at the nearest folder above. */
  of(file: string): MountEntry | undefined {
    for (let end = file.length; end > 0; end = file.lastIndexOf("/", end - 1)) {
      const entry = this.#byPoint.get(file.slice(0, end));
      if (entry !== undefined) return entry;
    }
    return this.#byPoint.get("/");
  }
}

/** What is mounted at these paths and at folders above them. For no paths the table is not read. */
export async function mountsHolding(
  paths: readonly string[],
  options: MountTableOptions = {},
): Promise<HoldingMounts> {
  if (paths.length === 0) return new HoldingMounts([]);
  const sorted = paths.map(toBytes).sort();
  const found = new Map<string, MountEntry>();
  await eachMount(options, (line, point) => {
    if (isPrefixIn(sorted, point)) for (const entry of toEntry(line)) found.set(point, entry);
  });
  return new HoldingMounts(found.values());
}

/** Whether one of the paths is the folder or lies below it. */
function isPrefixIn(sorted: readonly string[], folder: string): boolean {
  const inside = folder === "/" ? "/" : `${folder}/`;
  return sorted[firstFrom(sorted, folder)] === folder || startsAt(sorted, inside);
}

function startsAt(sorted: readonly string[], prefix: string): boolean {
  return sorted[firstFrom(sorted, prefix)]?.startsWith(prefix) === true;
}

/** Index of the first that is not less than `text`. */
function firstFrom(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? "") < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How this host's cgroup hierarchies are mounted: the first mount of each, since others can only show parts again. */
export async function cgroupMounts(options: MountTableOptions = {}): Promise<MountEntry[]> {
  const found = new Map<string, MountEntry>();
  await eachMount(options, (line) => {
    if (!line.includes(" - cgroup")) return;
    for (const entry of toEntry(line)) {
      if (entry.type.startsWith("cgroup") && !found.has(entry.device))
        found.set(entry.device, entry);
    }
  });
  return [...found.values()];
}

/**
 * Unmounts everything at or below a folder, or only what is below, the newest first; a busy mount is detached lazily. Answers how many were
 * unmounted. Throws the first SystemError of a lazy unmount, after trying all.
 */
export async function unmountBelow(
  folder: string,
  { sparesTop = false, ...options }: MountTableOptions & { readonly sparesTop?: boolean } = {},
): Promise<number> {
  const top = toBytes(folder);
  const targets: string[] = [];
  await eachMount(options, (_line, point) => {
    if ((point === top && !sparesTop) || point.startsWith(`${top}/`)) targets.push(point);
  });
  let count = 0;
  const failures: Error[] = [];
  let since = performance.now();
  for (const target of targets.toReversed()) {
    try {
      if (unmountNow(Buffer.from(target, "latin1"))) count += 1;
    } catch (error) {
      failures.push(error instanceof Error ? error : new Error(String(error)));
    }
    if (performance.now() - since < sliceMs) continue;
    await loopTurn();
    since = performance.now();
  }
  if (failures[0] !== undefined) throw failures[0];
  return count;
}

/**
 * Calls back for each line with its mount point, in the order the mounts were made. A character is a byte in both.
 */
async function eachMount(
  { file = "/proc/self/mountinfo" }: MountTableOptions,
  take: (line: string, point: string) => void,
): Promise<void> {
  await using handle = await open(file);
  const buffer = Buffer.allocUnsafe(pieceBytes);
  for (let rest = ""; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
    const text = rest + buffer.toString("latin1", 0, bytesRead);
    let at = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", at)) {
      const line = text.slice(at, end);
      at = end + 1;
      const point = pointOf(line);
      if (point !== undefined) take(line, point);
    }
    rest = text.slice(at);
    if (bytesRead === 0) return; // the kernel ends each line
    if (rest.length > maxLineBytes) throw new Error(`${file} is no table of mounts`);
  }
}

/** The fifth field. */
function pointOf(line: string): string | undefined {
  let start = 0;
  for (let skipped = 0; skipped < 4; skipped += 1) {
    start = line.indexOf(" ", start) + 1;
    if (start === 0) return undefined;
  }
  const end = line.indexOf(" ", start);
  return end === -1 ? undefined : unescapeBytes(line.slice(start, end));
}

function toEntry(line: string): MountEntry[] {
  const entry = parseMountLine(Buffer.from(line, "latin1").toString("utf8"));
  return entry === undefined ? [] : [entry];
}

function toBytes(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function unmountNow(target: Buffer): boolean {
  try {
    return unmount(target);
  } catch (error) {
    if (errnoOf(error) !== "EBUSY") throw error;
    return unmount(target, { lazy: true });
  }
}
