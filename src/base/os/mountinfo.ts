// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { errnoOf } from "../errors.ts";
import { unmount } from "./mount.ts";

/** One line of /proc/<pid>/mountinfo (proc(5)). */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  readonly device: string;
  /** Folder of the file system that forms the mount's root. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  /** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`. */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** Parses mountinfo text; a line that does not fit is skipped. */
export function parseMountinfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    const dash = fields.indexOf("-", 6);
    if (dash < 0 || fields.length < dash + 4) continue;
    const field = (at: number): string => unescape(fields[at] ?? "");
    entries.push({
      id: Number(fields[0]),
      parentId: Number(fields[1]),
      device: field(2),
      root: field(3),
      mountPoint: field(4),
      options: field(5).split(","),
      propagation: fields.slice(6, dash),
      type: field(dash + 1),
      source: field(dash + 2),
      superOptions: field(dash + 3).split(","),
    });
  }
  return entries;
}

/** The mounts this process sees, in the order they were made. */
export async function readMountinfo(): Promise<MountEntry[]> {
  return parseMountinfo(await readFile("/proc/self/mountinfo", "utf8"));
}

/**
 * Unmounts everything at or below `path`, the newest first; a busy mount is detached lazily.
 * Answers how many went. Throws the first SystemError that lazy detaching met, after trying all.
 */
export async function unmountBelow(path: string): Promise<number> {
  const targets = pointsBelow(await readFile("/proc/self/mountinfo"), path);
  let count = 0;
  const failures: Error[] = [];
  for (const target of targets) {
    try {
      if (unmountNow(target)) count += 1;
    } catch (error) {
      failures.push(error instanceof Error ? error : new Error(String(error)));
    }
  }
  if (failures[0] !== undefined) throw failures[0];
  return count;
}

/** Mount points as bytes, which need not be UTF-8, the newest first. */
function pointsBelow(mountinfo: Buffer, path: string): Buffer[] {
  const top = Buffer.from(path).toString("latin1");
  return mountinfo
    .toString("latin1")
    .split("\n")
    .map((line) => unescapeBytes(line.split(" ", 5)[4] ?? ""))
    .filter((point) => point === top || point.startsWith(`${top}/`))
    .map((point) => Buffer.from(point, "latin1"))
    .toReversed();
}

function unmountNow(target: Buffer): boolean {
  try {
    return unmount(target);
  } catch (error) {
    if (errnoOf(error) !== "EBUSY") throw error;
    return unmount(target, { lazy: true });
  }
}

function unescape(field: string): string {
  if (!field.includes("\\")) return field;
  // The kernel escapes bytes, not characters: a path may hold any of them.
  const bytes = unescapeBytes(Buffer.from(field, "utf8").toString("latin1"));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** A character is a byte here. */
function unescapeBytes(latin: string): string {
  return latin.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
