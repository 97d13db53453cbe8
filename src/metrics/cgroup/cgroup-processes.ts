// SPDX-License-Identifier: Apache-2.0
import { open, opendir } from "node:fs/promises";
import { parseNumber, readCgroupFile } from "./cgroup-files.ts";
import type { CgroupPaths } from "./cgroup-layout.ts";

/** Beyond these a container's processes are not looked at one by one: the kernel's count must do. */
const maxTasks = 4096;
const maxFolders = 256;
/** Digits of a pid, and the line's end. */
const pidBytes = 8;

/**
 * How many processes run in a cgroup and in those below it; undefined when it is gone. Where these are
 * very many, or in very many cgroups, the answer is the kernel's count, of threads.
 */
export async function countProcesses(paths: CgroupPaths): Promise<number | undefined> {
  const top = folderOf(paths);
  if (top === undefined) return undefined;
  const tasks = parseNumber(await readCgroupFile(top, "pids.current"));
  if (tasks !== undefined && tasks > maxTasks) return Number(tasks);
  const text = await readCgroupFile(top, "cgroup.procs");
  if (text === undefined) return tasks === undefined ? undefined : Number(tasks);
  const own = lines(text);
  if (tasks === BigInt(own)) return own; // there is nothing below
  return (await countBelow(top, own)) ?? Number(tasks ?? own);
}

/** Processes of the cgroup itself, the first of them; undefined when it is gone. */
export async function firstProcesses(
  paths: CgroupPaths,
  max: number,
): Promise<number[] | undefined> {
  const folder = folderOf(paths);
  if (folder === undefined) return undefined;
  let text: string;
  try {
    await using file = await open(`${folder}/cgroup.procs`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(max * pidBytes));
    text = buffer.toString("latin1", 0, bytesRead);
  } catch {
    return undefined;
  }
  // The last one may be cut.
  return text.split("\n").slice(0, -1).slice(0, max).map(Number);
}

/** `own` and all below; undefined when there are too many cgroups. */
async function countBelow(top: string, own: number): Promise<number | undefined> {
  let count = own;
  let left = maxFolders;
  const waiting = [top];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    for (const below of await foldersIn(folder, left)) {
      left -= 1;
      if (left <= 0) return undefined;
      count += lines((await readCgroupFile(below, "cgroup.procs")) ?? "");
      waiting.push(below);
    }
  }
  return count;
}

async function foldersIn(folder: string, max: number): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const entry of await opendir(folder)) {
      if (entry.isDirectory()) found.push(`${folder}/${entry.name}`);
      if (found.length >= max) break;
    }
  } catch {
    // gone meanwhile, and its processes with it
  }
  return found;
}

function lines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

function folderOf(paths: CgroupPaths): string | undefined {
  return paths.version === 2 ? paths.folder : (paths.folders["pids"] ?? paths.folders["memory"]);
}
