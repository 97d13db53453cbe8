// SPDX-License-Identifier: Apache-2.0
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import type { LinuxResources, LinuxResourcesInit } from "../../nri/messages.ts";
import { ociInteger } from "../../oci/encode-spec.ts";
import type { OciLinuxResources } from "../../oci/spec.ts";
import type { LimitChange } from "../container/change-limits.ts";

/** An optional field of NRI: a message around its value. */
function optional<T>(value: T | undefined): { readonly value: T } | undefined {
  return value === undefined ? undefined : { value };
}

/** The limits of a spec. What the spec leaves out the message leaves out. */
export function fromOciResources(resources: OciLinuxResources): LinuxResourcesInit {
  const { memory, cpu, hugepageLimits = [], unified = {}, devices = [], pids } = resources;
  return {
    memory: memory && {
      limit: optional(memory.limit),
      reservation: optional(memory.reservation),
      swap: optional(memory.swap),
      kernel: optional(memory.kernel),
      kernelTcp: optional(memory.kernelTCP),
      swappiness: optional(memory.swappiness),
      disableOomKiller: optional(memory.disableOOMKiller),
      useHierarchy: optional(memory.useHierarchy),
    },
    cpu: cpu && {
      shares: optional(cpu.shares),
      quota: optional(cpu.quota),
      period: optional(cpu.period),
      realtimeRuntime: optional(cpu.realtimeRuntime),
      realtimePeriod: optional(cpu.realtimePeriod),
      cpus: cpu.cpus,
      mems: cpu.mems,
    },
    hugepageLimits,
    unified,
    devices: devices.map(({ allow, type = "a", major, minor, access }) => ({
      allow,
      type,
      major: optional(major),
      minor: optional(minor),
      access,
    })),
    pids: pids && { limit: pids.limit },
  };
}

/** What a CRI request has of limits, 0 included: to plugins a request says all of it, as other runtimes' do. */
export function fromCriResources(
  resources: LinuxContainerResources | null | undefined,
): LinuxResourcesInit | undefined {
  if (!resources) return undefined;
  return {
    memory: {
      limit: { value: resources.memoryLimitInBytes },
      ...(resources.memorySwapLimitInBytes !== 0n && {
        swap: { value: resources.memorySwapLimitInBytes },
      }),
    },
    cpu: {
      shares: { value: resources.cpuShares },
      quota: { value: resources.cpuQuota },
      period: { value: resources.cpuPeriod },
      cpus: resources.cpusetCpus,
      mems: resources.cpusetMems,
    },
    hugepageLimits: resources.hugepageLimits,
    unified: resources.unified,
  };
}

/** What CRI knows of a plugin's limits, 0 and "" where it says nothing. */
export function toCriResources({
  memory,
  cpu,
  hugepageLimits,
  unified,
}: LinuxResources): LinuxContainerResources {
  return {
    cpuPeriod: cpu?.period?.value ?? 0n,
    cpuQuota: cpu?.quota?.value ?? 0n,
    cpuShares: cpu?.shares?.value ?? 0n,
    memoryLimitInBytes: memory?.limit?.value ?? 0n,
    oomScoreAdj: 0n,
    cpusetCpus: cpu?.cpus ?? "",
    cpusetMems: cpu?.mems ?? "",
    hugepageLimits: [...hugepageLimits],
    unified: { ...unified },
    memorySwapLimitInBytes: memory?.swap?.value ?? 0n,
  };
}

/** A plugin's limits as a change of a container's. */
export function toLimitChange(resources: LinuxResources): LimitChange {
  const { pids } = resources;
  const asked = toCriResources(resources);
  if (!pids || pids.limit === 0n) return { asked };
  return { asked, further: { pids: { limit: ociInteger(pids.limit) } } };
}
