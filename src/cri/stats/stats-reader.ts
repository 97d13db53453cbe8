// SPDX-License-Identifier: Apache-2.0
import type { ContainerStatsInit } from "../../gen/cri.gen.ts";
import { readCgroupSample } from "../../metrics/cgroup/read-sample.ts";
import { CpuRates } from "./cpu-rate.ts";
import type { StatsContainer, StatsPorts } from "./ports.ts";
import { toContainerStats } from "./to-container-stats.ts";
import { WritableLayers } from "./writable-layers.ts";

/** Reads containers' stats and remembers what rates and caches need. One for the daemon's life. */
export class StatsReader {
  readonly ports: StatsPorts;
  readonly #rates = new CpuRates();
  readonly #layers: WritableLayers;

  constructor(ports: StatsPorts) {
    this.ports = ports;
    this.#layers = new WritableLayers(ports);
  }

  /** Stats of one container; of one that does not run, its identity and writable layer only. */
  async read(container: StatsContainer): Promise<ContainerStatsInit> {
    return (await this.readRunning(container)) ?? this.#stopped(container);
  }

  /** undefined when the container does not run, or stopped while it was read. */
  async readRunning(container: StatsContainer): Promise<ContainerStatsInit | undefined> {
    if (!container.isRunning) return undefined;
    const readSample = this.ports.readSample ?? readCgroupSample;
    const [sample, layer] = await Promise.all([
      readSample(container.cgroupPaths),
      this.#layers.usage(container.snapshotKey),
    ]);
    if (sample === undefined) return undefined;
    const usage = sample.cpu?.usageNanos;
    const nanoCores =
      usage === undefined
        ? undefined
        : this.#rates.update(container.id, usage, sample.takenAtNanos);
    const mountpoint = this.ports.snapshotMountpoint;
    return toContainerStats(container, { sample, nanoCores, layer, mountpoint });
  }

  /** Lets go of what belongs to containers that are gone. */
  prune(): void {
    const containers = this.ports.list();
    this.#rates.keep(new Set(containers.map(({ id }) => id)));
    this.#layers.keep(new Set(containers.map(({ snapshotKey }) => snapshotKey)));
  }

  async #stopped(container: StatsContainer): Promise<ContainerStatsInit> {
    const layer = await this.#layers.usage(container.snapshotKey);
    const mountpoint = this.ports.snapshotMountpoint;
    return toContainerStats(container, {
      sample: undefined,
      nanoCores: undefined,
      layer,
      mountpoint,
    });
  }
}
