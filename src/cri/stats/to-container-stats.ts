// SPDX-License-Identifier: Apache-2.0
import type {
  ContainerStatsInit,
  CpuUsageInit,
  FilesystemUsageInit,
  IoUsageInit,
  MemoryUsageInit,
  PsiStatsInit,
  SwapUsageInit,
} from "../../gen/cri.gen.ts";
import type { CgroupUsage, Pressure, PressureLine } from "../../metrics/cgroup/cgroup-sample.ts";
import type { StatsTarget } from "../ports.ts";
import type { LayerUsage } from "./writable-layers.ts";

export interface ContainerReadings {
  /** undefined for a container that does not run. */
  readonly sample?: CgroupUsage | undefined;
  readonly nanoCores?: bigint | undefined;
  readonly layer: LayerUsage | undefined;
  readonly mountpoint: string;
}

/**
 * CRI's form of one container's figures. attributes and metadata are always there, because the
 * kubelet follows them without looking; a figure that is not known is left out rather than 0.
 */
export function toContainerStats(
  { id, name, attempt, labels, annotations }: StatsTarget,
  { sample, nanoCores, layer, mountpoint }: ContainerReadings,
): ContainerStatsInit {
  return {
    attributes: { id, metadata: { name, attempt }, labels, annotations },
    writableLayer: layerUsage(layer, mountpoint),
    ...(sample && {
      cpu: cpuUsage(sample, nanoCores),
      memory: memoryUsage(sample),
      swap: swapUsage(sample),
      io: ioUsage(sample),
    }),
  };
}

/** The CPU part of a cgroup's figures. */
export function cpuUsage(
  { cpu, takenAtNanos }: CgroupUsage,
  nanoCores: bigint | undefined,
): CpuUsageInit {
  return {
    timestamp: takenAtNanos,
    usageCoreNanoSeconds: optional(cpu?.usageNanos),
    usageNanoCores: optional(nanoCores),
    psi: psi(cpu?.pressure),
  };
}

/** available_bytes only where there is a limit: eviction and autoscaling take 0 for "none left". */
export function memoryUsage({ memory, takenAtNanos }: CgroupUsage): MemoryUsageInit {
  if (memory === undefined) return { timestamp: takenAtNanos };
  const { limitBytes, workingSetBytes } = memory;
  const available =
    limitBytes === undefined
      ? undefined
      : limitBytes > workingSetBytes
        ? limitBytes - workingSetBytes
        : 0n;
  return {
    timestamp: takenAtNanos,
    workingSetBytes: { value: workingSetBytes },
    availableBytes: optional(available),
    usageBytes: { value: memory.usageBytes },
    rssBytes: { value: memory.rssBytes },
    pageFaults: { value: memory.pageFaults },
    majorPageFaults: { value: memory.majorPageFaults },
    psi: psi(memory.pressure),
  };
}

/** The IO part of a cgroup's figures. */
export function ioUsage({ ioPressure, takenAtNanos }: CgroupUsage): IoUsageInit {
  return { timestamp: takenAtNanos, psi: psi(ioPressure) };
}

function swapUsage({ swap, takenAtNanos }: CgroupUsage): SwapUsageInit | null {
  if (swap === undefined) return null;
  const { usageBytes, limitBytes } = swap;
  const available =
    limitBytes === undefined ? undefined : limitBytes > usageBytes ? limitBytes - usageBytes : 0n;
  return {
    timestamp: takenAtNanos,
    swapUsageBytes: { value: usageBytes },
    swapAvailableBytes: optional(available),
  };
}

function layerUsage(layer: LayerUsage | undefined, mountpoint: string): FilesystemUsageInit {
  return {
    timestamp: layer?.takenAtNanos ?? 0n,
    fsId: { mountpoint },
    usedBytes: optional(layer?.sizeBytes),
    inodesUsed: optional(layer?.inodes),
  };
}

function psi(pressure: Pressure | undefined): PsiStatsInit | null {
  if (pressure === undefined) return null;
  const line = ({ totalNanos, avg10, avg60, avg300 }: PressureLine) => ({
    Total: totalNanos,
    Avg10: avg10,
    Avg60: avg60,
    Avg300: avg300,
  });
  return { Some: line(pressure.some), Full: line(pressure.full) };
}

function optional(value: bigint | undefined): { value: bigint } | null {
  return value === undefined ? null : { value };
}
