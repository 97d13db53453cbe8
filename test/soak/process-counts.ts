// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Daemon } from "../support/daemon.ts";
import { openFilesOf, processInfo } from "../support/processes.ts";
import { kindOf, list } from "./files.ts";

/** The daemon's descriptors and threads by kind, its children, and zombies, the soak's own too. */
export function processCounts(daemon: Daemon): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (name: string): void => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };
  const pid = daemon.pid();
  for (const file of openFilesOf(pid)) add(`fds ${descriptorKind(file, daemon.folder)}`);
  for (const thread of list(`/proc/${pid}/task`)) {
    const name = textOf(`/proc/${pid}/task/${thread}/comm`);
    if (name !== "") add(`threads ${name.trim()}`);
  }
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const info = processInfo(Number(name));
    if (info === undefined || (info.ppid !== pid && info.ppid !== process.pid)) continue;
    const whose = info.ppid === pid ? "daemon's" : "soak's";
    if (info.state === "Z") add(`${whose} zombies`);
    else if (info.ppid === pid) add(`${whose} children ${path.basename(info.argv[0] ?? "")}`);
  }
  return counts;
}

function descriptorKind(target: string, folder: string): string {
  if (target.startsWith(`${folder}/`)) return kindOf(path.relative(folder, target));
  return target.replace(/:\[\d+\]/, "");
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
