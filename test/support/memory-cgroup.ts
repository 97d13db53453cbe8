// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { until } from "./until.ts";

/** A cgroup with a limit of memory, for one daemon and what it starts. */
export interface MemoryCgroup extends AsyncDisposable {
  /** Write a process id into it to move that process. */
  readonly procs: string;
  /** Bytes charged now, page cache included. */
  usedBytes(): number;
  /** Processes that the kernel has killed in it for lack of memory. */
  oomKills(): number;
  /** Bytes by kind: `rss` and `cache` on cgroup v1, `anon` and `file` on v2, and others. */
  stat(): ReadonlyMap<string, number>;
}

/** Makes it beside the test's own cgroup's children; undefined where tests may not. */
export function makeMemoryCgroup(name: string, limitBytes: number): MemoryCgroup | undefined {
  const own = ownMemoryCgroup();
  if (own === undefined) return undefined;
  const folder = path.join(own.folder, name);
  const file = (v1: string, v2: string): string => path.join(folder, own.isV2 ? v2 : v1);
  try {
    mkdirSync(folder);
    writeFileSync(file("memory.limit_in_bytes", "memory.max"), String(limitBytes));
  } catch {
    if (existsSync(folder)) rmdirSync(folder);
    return undefined;
  }
  const numberIn = (name: string): number => Number(readFileSync(name, "utf8"));
  const pairs = (name: string): ReadonlyMap<string, number> =>
    new Map(
      readFileSync(name, "utf8")
        .trim()
        .split("\n")
        .map((line) => line.split(" "))
        .map(([key = "", value]) => [key, Number(value)]),
    );
  return {
    procs: path.join(folder, "cgroup.procs"),
    usedBytes: () => numberIn(file("memory.usage_in_bytes", "memory.current")),
    oomKills: () => pairs(file("memory.oom_control", "memory.events")).get("oom_kill") ?? 0,
    stat: () => pairs(path.join(folder, "memory.stat")),
    [Symbol.asyncDispose]: async () => {
      await until("the daemon's cgroup is empty", () => {
        rmdirSync(folder);
        return Promise.resolve(true);
      });
    },
  };
}

function ownMemoryCgroup(): { folder: string; isV2: boolean } | undefined {
  const lines = readFileSync("/proc/self/cgroup", "utf8").trim().split("\n");
  for (const line of lines) {
    const [, controllers = "", ...rest] = line.split(":");
    const own = rest.join(":");
    if (controllers.split(",").includes("memory")) {
      return { folder: path.join("/sys/fs/cgroup/memory", own), isV2: false };
    }
    if (controllers === "" && existsSync("/sys/fs/cgroup/cgroup.controllers")) {
      return { folder: path.join("/sys/fs/cgroup", own), isV2: true };
    }
  }
  return undefined;
}
