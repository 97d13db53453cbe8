// SPDX-License-Identifier: Apache-2.0
import { access } from "node:fs/promises";
import type { StartConfig } from "../../config/config.ts";
import type { LiveConfig } from "../../config/live-config.ts";
import {
  type CgroupLayout,
  type CgroupPaths,
  cgroupPathOf,
} from "../../metrics/cgroup/cgroup-layout.ts";
import { OomLedger } from "../../metrics/cgroup/oom-ledger.ts";
import { memoryInUse, oomKills } from "../../metrics/cgroup/read-sample.ts";
import type { KernelFigures } from "../../metrics/kernel-figures.ts";
import type { TaskInfo } from "../../metrics/ports.ts";
import { createTaskReader, TaskSamples } from "../../metrics/task-samples.ts";
import type { Snapshotter } from "../../snapshots/ports.ts";
import type { TreeWork } from "../../trees/ports.ts";
import { CriPaths } from "../paths.ts";
import {
  criNamespace,
  type OomProbe,
  type RuntimeServicePorts,
  type StatsTarget,
} from "../ports.ts";
import { containerDisk } from "./container-disk.ts";
import { createContainerStatsReader } from "./container-stats-reader.ts";
import { createPodMetrics } from "./pod-metrics.ts";
import { createPodStatsReader } from "./pod-stats-reader.ts";
import { WritableLayers } from "./writable-layers.ts";

export interface StatsReadersOptions {
  readonly layout: CgroupLayout;
  readonly figures: KernelFigures;
  readonly snapshotter: Snapshotter;
  /** Measures. */
  readonly work: TreeWork;
  readonly config: StartConfig;
  readonly live: LiveConfig;
  /** What runs now, from memory. */
  readonly tasks: () => readonly StatsTarget[];
  /** The sandbox of a container. */
  readonly sandboxOf: (containerId: string) => string | undefined;
}

/** Everything that is read from cgroup files, for CRI's answers and for `/metrics` alike. */
export type StatsReaders = Pick<
  RuntimeServicePorts,
  "oom" | "memoryUsage" | "stats" | "podStats" | "podMetrics"
> & { readonly samples: TaskSamples };

/** Makes the readers. They share the sizes of writable layers, and one pass over all tasks. */
export async function createStatsReaders(options: StatsReadersOptions): Promise<StatsReaders> {
  const { layout, figures, snapshotter, work, config, live, tasks, sandboxOf } = options;
  const paths = new CriPaths(config);
  const layers = new WritableLayers({
    snapshotUsage: containerDisk({
      layer: (key, call) => snapshotter.usage(criNamespace, key, call),
      volumes: (id) => paths.volumes(id), // a container's snapshot has its id
      shared: (id) => {
        const sandbox = sandboxOf(id);
        if (sandbox === undefined) return [];
        const { hostname, hosts, resolvConf } = paths.sandboxFiles(sandbox);
        return [hostname, hosts, resolvConf];
      },
      work,
    }),
    statsPeriodMs: () => live.current.cri.statsPeriodMs,
  });
  const layersFolder = snapshotter.root;
  const samples = new TaskSamples(() => tasks().map((target) => taskInfo(target, layout)), {
    reader: createTaskReader({
      figures,
      layersFolder,
      layerBytes: async ({ snapshotKey }) => {
        if (snapshotKey === "") return 0;
        const usage = await layers.usage(snapshotKey);
        return usage && Number(usage.sizeBytes);
      },
    }),
  });
  const readUsage = (at: CgroupPaths) => figures.usage(at);
  const stats = createContainerStatsReader({
    layout,
    layers,
    snapshotMountpoint: layersFolder,
    readUsage,
  });
  return {
    samples,
    oom: oomProbe(layout),
    memoryUsage: (cgroupsPath) => memoryInUse(layout.locate(cgroupsPath)),
    stats,
    podStats: createPodStatsReader({
      layout,
      containers: stats,
      readUsage,
      readProcesses: (at) => figures.processes(at),
      readInterfaces: (pid) => figures.interfaces(pid),
    }),
    podMetrics: createPodMetrics({
      host: {
        hugetlb: await layout.has("hugetlb"),
        pressure: layout.version === 2 && (await exists("/proc/pressure/cpu")),
      },
      samples: () => samples.pass(),
    }),
  };
}

function oomProbe(layout: CgroupLayout): OomProbe {
  const ledger = new OomLedger((folder) => oomKills({ version: 2, folder }));
  return {
    watch: async (cgroupsPath, call) => {
      const paths = layout.locate(cgroupsPath);
      if (paths.version === 2) return ledger.watch(paths.folder, call);
      return { kills: async () => Number((await oomKills(paths)) ?? 0n), forget: () => {} };
    },
  };
}

function taskInfo(target: StatsTarget, layout: CgroupLayout): TaskInfo {
  const { metadata } = target.sandboxConfig;
  return {
    namespace: metadata?.namespace ?? "",
    pod: metadata?.name ?? "",
    podUid: metadata?.uid ?? "",
    sandboxId: target.sandboxId,
    container: target.isSandbox ? "POD" : target.name,
    containerId: target.id,
    image: target.image,
    pid: target.pid,
    cgroupPaths: layout.locate(target.cgroupsPath),
    cgroupPath: cgroupPathOf(target.cgroupsPath),
    snapshotKey: target.snapshotKey,
    startedAtNanos: target.startedAtNanos,
    ...(target.isSandbox && target.netnsPath !== "" ? { netnsPath: target.netnsPath } : {}),
  };
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    return false;
  }
}
