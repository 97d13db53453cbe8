// SPDX-License-Identifier: Apache-2.0
import { opendirSync } from "node:fs";
import { readStartSync } from "../../base/read-bounded.ts";
import { parseNumber, readCgroupFileSync } from "./cgroup-files.ts";
import type { CgroupPaths } from "./cgroup-layout.ts";

/** Beyond these a container's processes are not looked at one by one: the kernel's count must do. */
const maxTasks = 4096;
const maxFolders = 256;
/** Hierarchies in which processes are counted: the first that there is. */
export const processControllers = ["pids", "memory"] as const;
/** Digits of a pid, and the line's end. */
const pidBytes = 8;

/**
 * How many processes run in a cgroup and in those below it; undefined when it is gone. Where these are
 * very many, or in very many cgroups, the answer is the kernel's count, of threads; where the kernel does not
 * count them, as many as were looked at.
 */
export function countProcesses(paths: CgroupPaths): number | undefined {
  const top = folderOf(paths);
  if (top === undefined) return undefined;
  const tasks = parseNumber(readCgroupFileSync(top, "pids.current"));
  if (tasks !== undefined && tasks > maxTasks) return Number(tasks);
  const own = countIn(top, maxTasks);
  if (own === undefined) return tasks === undefined ? undefined : Number(tasks);
  if (tasks === BigInt(own)) return own; // there is nothing below
  const { count, isAll } = countBelow(top, own);
  return isAll || tasks === undefined ? count : Number(tasks);
}

/** Processes of the cgroup itself, the first of them; undefined when it is gone. */
export function firstProcesses(paths: CgroupPaths, max: number): number[] | undefined {
  const folder = folderOf(paths);
  if (folder === undefined) return undefined;
  const bytes = startOf(`${folder}/cgroup.procs`, max);
  if (bytes === undefined) return undefined;
  // The last one may be cut.
  return bytes.toString("latin1").split("\n").slice(0, -1).slice(0, max).map(Number);
}

/** `own` and those below, up to the bounds. */
function countBelow(top: string, own: number): { count: number; isAll: boolean } {
  let count = own;
  let left = maxFolders;
  const waiting = [top];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    for (const below of foldersIn(folder, left)) {
      left -= 1;
      if (left <= 0 || count >= maxTasks) return { count, isAll: false };
      count += countIn(below, maxTasks - count) ?? 0;
      waiting.push(below);
    }
  }
  return { count, isAll: count < maxTasks };
}

/** Processes of one cgroup, `max` at most; undefined when it is gone, or cannot have any. */
function countIn(folder: string, max: number): number | undefined {
  const bytes = startOf(`${folder}/cgroup.procs`, max);
  return bytes && Math.min(max, lines(bytes));
}

/** As much of it as `max` pids take; undefined when it is gone. */
function startOf(file: string, max: number): Buffer | undefined {
  try {
    return readStartSync(file, max * pidBytes);
  } catch {
    return undefined;
  }
}

function foldersIn(folder: string, max: number): string[] {
  const found: string[] = [];
  try {
    const open = opendirSync(folder);
    try {
      for (let entry = open.readSync(); entry && found.length < max; entry = open.readSync()) {
        if (entry.isDirectory()) found.push(`${folder}/${entry.name}`);
      }
    } finally {
      open.closeSync();
    }
  } catch {
    // gone meanwhile, and its processes with it
  }
  return found;
}

function lines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) count += 1;
  return count;
}

function folderOf(paths: CgroupPaths): string | undefined {
  if (paths.version === 2) return paths.folder;
  return processControllers.map((one) => paths.folders[one]).find((folder) => folder !== undefined);
}
