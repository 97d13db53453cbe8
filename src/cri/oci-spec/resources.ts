// SPDX-License-Identifier: Apache-2.0

import { invalid, unsupported } from "../../base/invalid-field.ts";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import { ociInteger } from "../../oci/encode-spec.ts";
import type { OciCpu, OciLinuxResources, OciMemory } from "../../oci/spec.ts";
import { hugepageLimits } from "./hugepages.ts";
import type { HostFacts } from "./ports.ts";

const field = "linux.resources";
const listPattern = /^(\d+(-\d+)?)(,\d+(-\d+)?)*$/;

/**
 * CRI resources as the OCI spec and a task Update carry them; device rules are not among them.
 * Zero means unset everywhere. Without a swap limit of its own a memory limit covers swap too,
 * where the host counts swap: a container gets none beyond its memory.
 */
export function toOciResources(
  resources: LinuxContainerResources,
  host: Pick<HostFacts, "swapAccounting" | "cgroupVersion" | "cgroupControllers" | "hugepageSizes">,
  options: { readonly disableHugetlbController: boolean },
): OciLinuxResources {
  const out: OciLinuxResources = {};
  const cpu = cpuOf(resources);
  if (Object.keys(cpu).length > 0) out.cpu = cpu;
  const memory = memoryOf(resources, host.swapAccounting);
  if (Object.keys(memory).length > 0) out.memory = memory;
  if (!options.disableHugetlbController) {
    const limits = hugepageLimits(resources.hugepageLimits, host);
    if (limits.length > 0) out.hugepageLimits = limits;
  }
  const unified = unifiedOf(resources.unified, host.cgroupVersion);
  if (unified !== undefined) out.unified = unified;
  if (host.cgroupVersion === 2 && host.swapAccounting) sayInFull(out);
  return out;
}

/**
 * Names the unified hierarchy's file for swap as well. Where there shall be none, runc 1.1 writes the 0
 * to the cgroup but does not tell systemd, which at its next reload puts back what it knows: the limit of
 * before, or none.
 */
function sayInFull(out: OciLinuxResources): void {
  const [limit, swap] = [Number(out.memory?.limit ?? 0), Number(out.memory?.swap ?? 0)];
  if (limit <= 0 || swap === 0) return;
  out.unified = { "memory.swap.max": swap < 0 ? "max" : String(swap - limit), ...out.unified };
}

function cpuOf(resources: LinuxContainerResources): OciCpu {
  const cpu: OciCpu = {};
  notNegative("cpu_shares", resources.cpuShares);
  notNegative("cpu_period", resources.cpuPeriod);
  if (resources.cpuShares !== 0n) cpu.shares = ociInteger(resources.cpuShares);
  if (resources.cpuPeriod !== 0n) cpu.period = ociInteger(resources.cpuPeriod);
  // A negative quota is a request for no limit at all.
  if (resources.cpuQuota !== 0n) cpu.quota = ociInteger(resources.cpuQuota);
  if (resources.cpusetCpus !== "") cpu.cpus = cpuList("cpuset_cpus", resources.cpusetCpus);
  if (resources.cpusetMems !== "") cpu.mems = cpuList("cpuset_mems", resources.cpusetMems);
  return cpu;
}

function memoryOf(resources: LinuxContainerResources, swapAccounting: boolean): OciMemory {
  const { memoryLimitInBytes: limit, memorySwapLimitInBytes: swap } = resources;
  const memory: OciMemory = {};
  notNegative("memory_limit_in_bytes", limit);
  if (swap < -1n) throw invalid(`${field}.memory_swap_limit_in_bytes`, `${swap} is negative`);
  if (swap > 0n && limit > swap) {
    throw invalid(
      `${field}.memory_swap_limit_in_bytes`,
      `${swap} is below the memory limit ${limit}; it counts memory and swap together`,
    );
  }
  if (limit !== 0n) memory.limit = ociInteger(limit);
  if (swap !== 0n) memory.swap = ociInteger(swap);
  else if (limit !== 0n && swapAccounting) memory.swap = ociInteger(limit);
  return memory;
}

function unifiedOf(
  unified: Readonly<Record<string, string>>,
  cgroupVersion: 1 | 2,
): Record<string, string> | undefined {
  const entries = Object.entries(unified);
  if (entries.length === 0) return undefined;
  for (const [file] of entries) {
    if (!/^[a-z_]+\.[\w.]+$/i.test(file)) {
      throw invalid(`${field}.unified`, `"${file}" is no name of a cgroup file`);
    }
  }
  if (cgroupVersion === 2) return Object.fromEntries(entries);
  // Kubelets send none to such a host; whoever does believes in limits that would not hold.
  const [file] = Object.keys(unified);
  throw unsupported(`${field}.unified`, `"${file}" is a file of cgroup v2, and this host has v1`);
}

function notNegative(name: string, value: bigint): void {
  if (value < 0n) throw invalid(`${field}.${name}`, `${value} is negative`);
}

function cpuList(name: string, list: string): string {
  if (!listPattern.test(list)) {
    throw invalid(`${field}.${name}`, `"${list}" is no list such as 0-2,5`);
  }
  return list;
}
