// SPDX-License-Identifier: Apache-2.0
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { FlatFile, parseNumber, readCgroupFile } from "../../metrics/cgroup/cgroup-files.ts";
import { packAny } from "../../rpc/codec.ts";
import type { SandboxCgroup } from "./sandbox-cgroup.ts";

/** How the kernel counts where there is no limit. */
const noLimit = 2n ** 64n - 1n;

/** A sandbox's figures as a shim would tell them: the message for the cgroup version that there is. */
export async function sandboxStats(cgroup: SandboxCgroup): Promise<ProtoAny> {
  return cgroup.isUnified ? statsV2(cgroup) : statsV1(cgroup);
}

type Read = (controller: string, name: string) => Promise<string | undefined>;

function reader(cgroup: SandboxCgroup): Read {
  return async (controller, name) => {
    const folder = cgroup.folderOf(controller);
    return folder === undefined ? undefined : readCgroupFile(folder, name);
  };
}

async function statsV1(cgroup: SandboxCgroup): Promise<ProtoAny> {
  const read = reader(cgroup);
  const number = async (controller: string, name: string): Promise<bigint> =>
    parseNumber(await read(controller, name)) ?? 0n;
  const [current, total, user, kernel, usage, max, limit, failcnt] = await Promise.all([
    number("pids", "pids.current"),
    number("cpuacct", "cpuacct.usage"),
    number("cpuacct", "cpuacct.usage_user"),
    number("cpuacct", "cpuacct.usage_sys"),
    number("memory", "memory.usage_in_bytes"),
    number("memory", "memory.max_usage_in_bytes"),
    number("memory", "memory.limit_in_bytes"),
    number("memory", "memory.failcnt"),
  ]);
  const memory = new FlatFile(await read("memory", "memory.stat"));
  const oom = new FlatFile(await read("memory", "memory.oom_control"));
  const limits = parseNumber(await read("pids", "pids.max")) ?? 0n; // 0 stands for none
  return packAny("io.containerd.cgroups.v1.Metrics", {
    pids: { current, limit: limits },
    cpu: { usage: { total, user, kernel } },
    memory: {
      cache: memory.get("cache"),
      rss: memory.get("rss"),
      mappedFile: memory.get("mapped_file"),
      pgFault: memory.get("pgfault"),
      pgMajFault: memory.get("pgmajfault"),
      inactiveAnon: memory.get("inactive_anon"),
      activeAnon: memory.get("active_anon"),
      inactiveFile: memory.get("inactive_file"),
      activeFile: memory.get("active_file"),
      hierarchicalMemoryLimit: memory.get("hierarchical_memory_limit"),
      totalCache: memory.get("total_cache"),
      totalRss: memory.get("total_rss"),
      totalInactiveFile: memory.get("total_inactive_file"),
      totalActiveFile: memory.get("total_active_file"),
      usage: { usage, max, limit, failcnt },
    },
    memoryOomControl: {
      oomKillDisable: oom.get("oom_kill_disable"),
      underOom: oom.get("under_oom"),
      oomKill: oom.get("oom_kill"),
    },
  });
}

async function statsV2(cgroup: SandboxCgroup): Promise<ProtoAny> {
  const read = reader(cgroup);
  const number = async (name: string, none: bigint): Promise<bigint> =>
    parseNumber(await read("", name)) ?? none;
  const cpu = new FlatFile(await read("", "cpu.stat"));
  const memory = new FlatFile(await read("", "memory.stat"));
  const events = new FlatFile(await read("", "memory.events"));
  return packAny("io.containerd.cgroups.v2.Metrics", {
    pids: { current: await number("pids.current", 0n), limit: await number("pids.max", 0n) },
    cpu: {
      usageUsec: cpu.get("usage_usec"),
      userUsec: cpu.get("user_usec"),
      systemUsec: cpu.get("system_usec"),
    },
    memory: {
      anon: memory.get("anon"),
      file: memory.get("file"),
      kernelStack: memory.get("kernel_stack"),
      fileMapped: memory.get("file_mapped"),
      inactiveAnon: memory.get("inactive_anon"),
      activeAnon: memory.get("active_anon"),
      inactiveFile: memory.get("inactive_file"),
      activeFile: memory.get("active_file"),
      pgfault: memory.get("pgfault"),
      pgmajfault: memory.get("pgmajfault"),
      usage: await number("memory.current", 0n),
      usageLimit: await number("memory.max", noLimit),
      swapUsage: await number("memory.swap.current", 0n),
      swapLimit: await number("memory.swap.max", noLimit),
      maxUsage: await number("memory.peak", 0n),
    },
    memoryEvents: {
      low: events.get("low"),
      high: events.get("high"),
      max: events.get("max"),
      oom: events.get("oom"),
      oomKill: events.get("oom_kill"),
    },
  });
}
