// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { FlatFile } from "../../src/metrics/cgroup/cgroup-files.ts";
import { CgroupLayout } from "../../src/metrics/cgroup/cgroup-layout.ts";
import { until } from "./until.ts";

/** A cgroup with a limit of memory, for one daemon and what it starts. */
export interface MemoryCgroup extends AsyncDisposable {
  /** Write a process id into it to move that process. */
  readonly procs: string;
  /** Bytes charged now, without the page cache. */
  anonymousBytes(): number;
  /** Processes that the kernel has killed in it for lack of memory. */
  oomKills(): number;
}

/** Makes it beside the test's own cgroup's children; undefined where tests may not. */
export async function makeMemoryCgroup(
  name: string,
  limitBytes: number,
): Promise<MemoryCgroup | undefined> {
  const own = await (await CgroupLayout.read()).locateProcess(process.pid);
  const parent = own.version === 2 ? own.folder : own.folders["memory"];
  if (parent === undefined) return undefined;
  const folder = path.join(parent, name);
  const file = (v1: string, v2: string): string => path.join(folder, own.version === 2 ? v2 : v1);
  try {
    mkdirSync(folder);
    writeFileSync(file("memory.limit_in_bytes", "memory.max"), String(limitBytes));
  } catch {
    if (existsSync(folder)) rmdirSync(folder);
    return undefined;
  }
  const pairs = (name: string): FlatFile => new FlatFile(readFileSync(name, "utf8"));
  return {
    procs: path.join(folder, "cgroup.procs"),
    anonymousBytes: () =>
      Number(pairs(path.join(folder, "memory.stat")).get(own.version === 2 ? "anon" : "rss")),
    oomKills: () => Number(pairs(file("memory.oom_control", "memory.events")).get("oom_kill")),
    [Symbol.asyncDispose]: async () => {
      await until("the daemon's cgroup is empty", () => {
        rmdirSync(folder);
        return Promise.resolve(true);
      });
    },
  };
}
