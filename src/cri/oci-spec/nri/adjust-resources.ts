// SPDX-License-Identifier: Apache-2.0
import { unsupported } from "../../../base/invalid-field.ts";
import type { LinuxCPU, LinuxMemory, LinuxResources } from "../../../nri/messages.ts";
import { ociInteger } from "../../../oci/encode-spec.ts";
import type {
  OciCpu,
  OciDeviceRule,
  OciInteger,
  OciLinuxResources,
  OciMemory,
} from "../../../oci/spec.ts";
import { hugepageLimits } from "../hugepages.ts";
import type { HostFacts } from "../ports.ts";

type Host = Pick<
  HostFacts,
  "cgroupControllers" | "cgroupVersion" | "hugepageSizes" | "swapAccounting"
>;

/**
 * A container's limits with those that plugins want. v0.12.5 of the NRI module takes the limit of memory only; here
 * reservation, swap and the others are applied too. FAILED_PRECONDITION for files of cgroup v2 on a host that has v1.
 */
export function adjustedResources(
  before: OciLinuxResources,
  wanted: LinuxResources,
  host: Host,
): OciLinuxResources {
  const { memory, cpu, unified, devices, pids } = wanted;
  const after = { ...before };
  if (cpu) after.cpu = { ...before.cpu, ...givenCpu(cpu) };
  if (memory) after.memory = { ...before.memory, ...givenMemory(memory, host) };
  const pages = hugepageLimits(wanted.hugepageLimits, host);
  if (pages.length > 0) {
    const bySize = new Map((before.hugepageLimits ?? []).map((one) => [one.pageSize, one]));
    for (const page of pages) bySize.set(page.pageSize, page);
    after.hugepageLimits = [...bySize.values()];
  }
  const [file] = Object.keys(unified);
  if (file !== undefined) {
    if (host.cgroupVersion === 1) {
      const problem = `"${file}" is a file of cgroup v2, and this host has v1`;
      throw unsupported("adjust.linux.resources.unified", problem);
    }
    after.unified = { ...before.unified, ...unified };
  }
  if (pids) after.pids = { limit: ociInteger(pids.limit) };
  if (devices.length > 0) {
    after.devices = [...(before.devices ?? []), ...devices.map(toRule)];
  }
  return after;
}

function givenCpu(cpu: LinuxCPU): OciCpu {
  return {
    ...given("shares", cpu.shares),
    ...given("quota", cpu.quota),
    ...given("period", cpu.period),
    ...given("realtimeRuntime", cpu.realtimeRuntime),
    ...given("realtimePeriod", cpu.realtimePeriod),
    ...(cpu.cpus !== "" && { cpus: cpu.cpus }),
    ...(cpu.mems !== "" && { mems: cpu.mems }),
  };
}

/** A limit of 0 is none. Where nobody names the swap it follows the limit: there is none beyond the memory. */
function givenMemory(memory: LinuxMemory, { swapAccounting }: Host): OciMemory {
  const { limit, swap, disableOomKiller, useHierarchy } = memory;
  const isLimited = limit !== null && limit.value !== 0n;
  return {
    ...given("limit", isLimited ? limit : null),
    ...given("swap", swap ?? (isLimited && swapAccounting ? limit : null)),
    ...given("reservation", memory.reservation),
    ...given("kernel", memory.kernel),
    ...given("kernelTCP", memory.kernelTcp),
    ...given("swappiness", memory.swappiness),
    ...(disableOomKiller && { disableOOMKiller: disableOomKiller.value }),
    ...(useHierarchy && { useHierarchy: useHierarchy.value }),
  };
}

function given<K extends string>(
  key: K,
  field: { readonly value: bigint } | null,
): { [P in K]?: OciInteger } {
  const out: { [P in K]?: OciInteger } = {};
  if (field) out[key] = ociInteger(field.value);
  return out;
}

function toRule({ allow, type, major, minor, access }: LinuxResources["devices"][number]) {
  const rule: OciDeviceRule = { allow };
  if (type !== "") rule.type = type;
  if (major) rule.major = Number(major.value);
  if (minor) rule.minor = Number(minor.value);
  if (access !== "") rule.access = access;
  return rule;
}
