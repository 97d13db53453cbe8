// SPDX-License-Identifier: Apache-2.0
import { mapAtOnce } from "../../base/map-at-once.ts";
import type { ContainerStatsInit } from "../../gen/cri.gen.ts";
import type { CgroupLayout, CgroupPaths } from "../../metrics/cgroup/cgroup-layout.ts";
import type { CgroupUsage } from "../../metrics/cgroup/cgroup-sample.ts";
import type { ContainerStatsReader, StatsTarget } from "../ports.ts";
import { readsAtOnce } from "./batches.ts";
import { CpuRates } from "./cpu-rate.ts";
import { toContainerStats } from "./to-container-stats.ts";
import type { WritableLayers } from "./writable-layers.ts";

export interface ContainerStatsOptions {
  readonly layout: Pick<CgroupLayout, "locate">;
  /** Where the snapshotter keeps layers: the kubelet takes this file system's capacity. */
  readonly snapshotMountpoint: string;
  readonly layers: Pick<WritableLayers, "usage">;
  readonly readUsage: (paths: CgroupPaths) => Promise<CgroupUsage | undefined>;
}

/**
 * Makes the reader of container stats: cgroup files read directly, so that no shim wakes up; CPU
 * rates from one call to the next; writable layers at most once a period. One for the daemon's life.
 */
export function createContainerStatsReader(options: ContainerStatsOptions): ContainerStatsReader {
  const { layout, layers, snapshotMountpoint: mountpoint, readUsage } = options;
  const rates = new CpuRates();

  /** undefined when the container does not run, or stopped while it was read. */
  const readRunning = async (target: StatsTarget): Promise<ContainerStatsInit | undefined> => {
    if (target.pid === 0) return undefined;
    const [sample, layer] = await Promise.all([
      readUsage(layout.locate(target.cgroupsPath)),
      layers.usage(target.snapshotKey),
    ]);
    if (sample === undefined) return undefined;
    const usage = sample.cpu?.usageNanos;
    const nanoCores =
      usage === undefined ? undefined : rates.update(target.id, usage, sample.takenAtNanos);
    return toContainerStats(target, { sample, nanoCores, layer, mountpoint });
  };

  return {
    one: async (target, { signal }) => {
      signal.throwIfAborted();
      const running = await readRunning(target);
      if (running !== undefined) return running;
      const layer = await layers.usage(target.snapshotKey);
      return toContainerStats(target, { layer, mountpoint });
    },
    // One whose figures cannot be read is left out: this call decides evictions on the whole node.
    list: async (targets, { signal }, keep) => {
      signal.throwIfAborted();
      const stats = await mapAtOnce(targets, readsAtOnce, async (target) => {
        const read = await readRunning(target).catch(() => undefined);
        return read && keep(read);
      });
      return stats.filter((entry) => entry !== undefined);
    },
  };
}
