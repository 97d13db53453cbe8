// SPDX-License-Identifier: Apache-2.0
import { access, glob, stat } from "node:fs/promises";
import { deviceAt } from "../devices.ts";

export interface DiskNumber {
  readonly major: number;
  readonly minor: number;
}

/**
 * The whole disks among what globs such as `/dev/disk/by-id/*SSD*` match, links followed, each once.
 * Partitions are left out, because the kernel shares out whole disks only; so is what is gone meanwhile.
 */
export async function disksMatching(
  globs: readonly string[],
  isPartition: (disk: DiskNumber) => Promise<boolean> = isKernelPartition,
): Promise<DiskNumber[]> {
  const found = new Map<string, DiskNumber>();
  for await (const path of glob([...globs])) {
    const disk = await blockDevice(path);
    if (disk === undefined) continue;
    const key = `${disk.major}:${disk.minor}`;
    if (!found.has(key) && !(await isPartition(disk))) found.set(key, disk);
  }
  return [...found.values()];
}

async function blockDevice(path: string): Promise<DiskNumber | undefined> {
  const isBlock = await stat(path).then(
    (facts) => facts.isBlockDevice(),
    () => false,
  );
  if (!isBlock) return undefined;
  const device = await deviceAt(path, path).catch(() => undefined);
  if (device?.major === undefined || device.minor === undefined) return undefined;
  return { major: device.major, minor: device.minor };
}

function isKernelPartition({ major, minor }: DiskNumber): Promise<boolean> {
  return access(`/sys/dev/block/${major}:${minor}/partition`).then(
    () => true,
    () => false,
  );
}
