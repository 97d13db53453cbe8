// SPDX-License-Identifier: Apache-2.0
import { parseLimit, parseNumber, readCgroupFileSync } from "./cgroup-files.ts";
import type { CgroupPaths } from "./cgroup-layout.ts";

/** The settings of a cgroup that its sample does not have. undefined: none, or not there. */
export interface CgroupLimits {
  /** In the scale of v1, 1024 being a whole core's weight. */
  readonly cpuShares: bigint | undefined;
  readonly cpuPeriodMicros: bigint | undefined;
  readonly cpuQuotaMicros: bigint | undefined;
  readonly memoryReservationBytes: bigint | undefined;
}

/** Reads them; every part is undefined when the cgroup is gone. */
export function readCgroupLimits(paths: CgroupPaths): CgroupLimits {
  return paths.version === 2 ? readV2(paths.folder) : readV1(paths.folders);
}

function readV1(folders: Readonly<Record<string, string>>): CgroupLimits {
  const read = (controller: string, name: string): string | undefined => {
    const folder = folders[controller];
    return folder === undefined ? undefined : readCgroupFileSync(folder, name);
  };
  const [shares, period, quota, reservation] = [
    read("cpu", "cpu.shares"),
    read("cpu", "cpu.cfs_period_us"),
    read("cpu", "cpu.cfs_quota_us"),
    read("memory", "memory.soft_limit_in_bytes"),
  ];
  return {
    cpuShares: parseNumber(shares),
    cpuPeriodMicros: parseNumber(period),
    cpuQuotaMicros: parseNumber(quota), // -1 for none is no number
    memoryReservationBytes: parseLimit(reservation),
  };
}

function readV2(folder: string): CgroupLimits {
  const [weight, max, low] = [
    readCgroupFileSync(folder, "cpu.weight"),
    readCgroupFileSync(folder, "cpu.max"),
    readCgroupFileSync(folder, "memory.low"),
  ];
  const [quota, period] = (max ?? "").trim().split(" ");
  const reservation = parseLimit(low);
  return {
    cpuShares: sharesOf(parseNumber(weight)),
    cpuPeriodMicros: parseNumber(period),
    cpuQuotaMicros: parseNumber(quota),
    memoryReservationBytes: reservation === 0n ? undefined : reservation,
  };
}

/** OCI runtimes spread shares 2…262144 over weights 1…10000; this is the way back. */
function sharesOf(weight: bigint | undefined): bigint | undefined {
  return weight === undefined ? undefined : 2n + ((weight - 1n) * 262_142n) / 9_999n;
}
