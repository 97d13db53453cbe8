// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { mapAtOnce } from "../../base/map-at-once.ts";
import { nowNanos } from "../../base/now.ts";
import type {
  ContainerStatsInit,
  LinuxPodSandboxStatsInit,
  NetworkUsageInit,
  PodSandboxStatsInit,
} from "../../gen/cri.gen.ts";
import type { CgroupLayout, CgroupPaths } from "../../metrics/cgroup/cgroup-layout.ts";
import type { CgroupUsage } from "../../metrics/cgroup/cgroup-sample.ts";
import { defaultInterface, type InterfaceCounters } from "../../metrics/interface-counters.ts";
import type {
  ContainerStatsReader,
  PodStatsReader,
  PodStatsTarget,
  StatsTarget,
} from "../ports.ts";
import { readsAtOnce } from "./batches.ts";
import { CpuRates } from "./cpu-rate.ts";
import { cpuUsage, ioUsage, memoryUsage } from "./to-container-stats.ts";

export interface PodStatsOptions {
  readonly layout: Pick<CgroupLayout, "locate">;
  readonly containers: ContainerStatsReader;
  /** What reads the kernel's files. */
  readonly readUsage: (paths: CgroupPaths) => Promise<CgroupUsage | undefined>;
  readonly readProcesses: (paths: CgroupPaths) => Promise<number | undefined>;
  readonly readInterfaces: (pid: number) => Promise<InterfaceCounters[]>;
}

/**
 * Makes the reader of pod stats: the pod's own cgroup where it has one, else the sum is left to the
 * reader of the containers. Some pods are read side by side, under no lock. One for the daemon's life.
 */
export function createPodStatsReader(options: PodStatsOptions): PodStatsReader {
  const { layout, containers, readUsage, readProcesses, readInterfaces } = options;
  const rates = new CpuRates();

  const processCount = async (targets: readonly StatsTarget[]): Promise<bigint> => {
    const counts = await Promise.all(
      targets.map(async ({ cgroupsPath }) => {
        return (await readProcesses(layout.locate(cgroupsPath)).catch(() => undefined)) ?? 0;
      }),
    );
    return BigInt(counts.reduce((sum, count) => sum + count, 0));
  };

  const usage = async ({
    cgroupParent,
    sandbox,
  }: PodStatsTarget): Promise<Partial<LinuxPodSandboxStatsInit>> => {
    if (cgroupParent === "") return {};
    const sample = await readUsage(layout.locate(cgroupParent));
    if (sample === undefined) return {};
    const used = sample.cpu?.usageNanos;
    const nanoCores =
      used === undefined ? undefined : rates.update(sandbox.id, used, sample.takenAtNanos);
    return { cpu: cpuUsage(sample, nanoCores), memory: memoryUsage(sample), io: ioUsage(sample) };
  };

  const network = async ({ netnsPath, pid }: StatsTarget): Promise<NetworkUsageInit | null> => {
    if (netnsPath === "") return null; // the node's traffic is not the pod's
    return toNetworkUsage(await readInterfaces(pid));
  };

  const read = async (target: PodStatsTarget, call: Cancellable): Promise<PodSandboxStatsInit> => {
    const { sandbox } = target;
    if (sandbox.pid === 0) return { ...attributes(sandbox), linux: { containers: [] } };
    const counted = containers.list(target.containers, call, (stats) => stats);
    const [pod, traffic, count, stats] = await Promise.all([
      counted.then(() => usage(target)), // after: a pod never has used less than its containers
      network(sandbox),
      processCount([sandbox, ...target.containers]),
      counted,
    ]);
    return {
      ...attributes(sandbox),
      linux: {
        ...(target.cgroupParent === "" ? sumOf(stats) : pod),
        network: traffic,
        process: { timestamp: nowNanos(), processCount: { value: count } },
        containers: stats,
      },
    };
  };

  return {
    one: async (target, call) => {
      call.signal.throwIfAborted();
      return read(target, call);
    },
    list: async (targets, call, keep) => {
      call.signal.throwIfAborted();
      const stats = await mapAtOnce(targets, readsAtOnce, async (target) => {
        const one = await read(target, call).catch(() => undefined);
        return one && keep(one);
      });
      return stats.filter((entry) => entry !== undefined);
    },
  };
}

function attributes({
  id,
  name,
  attempt,
  labels,
  annotations,
  sandboxConfig: { metadata },
}: StatsTarget): Pick<PodSandboxStatsInit, "attributes"> {
  const { namespace = "", uid = "" } = metadata ?? {};
  return {
    attributes: { id, metadata: { name, namespace, uid, attempt }, labels, annotations },
  };
}

/** The interfaces that are told, eth0 first; without an eth0 the first that there is. */
export function toNetworkUsage(interfaces: readonly InterfaceCounters[]): NetworkUsageInit {
  const usages = interfaces.map(({ name, receive, transmit }) => ({
    name,
    rxBytes: { value: BigInt(receive.bytes) },
    rxErrors: { value: BigInt(receive.errors) },
    txBytes: { value: BigInt(transmit.bytes) },
    txErrors: { value: BigInt(transmit.errors) },
  }));
  const first = usages.find(({ name }) => name === defaultInterface) ?? usages[0];
  return {
    timestamp: nowNanos(),
    defaultInterface: first ?? null,
    interfaces: usages.filter((usage) => usage !== first),
  };
}

/** A pod without a cgroup of its own uses what its containers do. */
function sumOf(stats: readonly ContainerStatsInit[]): Partial<LinuxPodSandboxStatsInit> {
  const timestamp = nowNanos();
  const sum = (pick: (entry: ContainerStatsInit) => bigint | number | null | undefined): bigint =>
    stats.reduce((total, entry) => total + BigInt(pick(entry) ?? 0n), 0n);
  return {
    cpu: {
      timestamp,
      usageCoreNanoSeconds: { value: sum(({ cpu }) => cpu?.usageCoreNanoSeconds?.value) },
      usageNanoCores: { value: sum(({ cpu }) => cpu?.usageNanoCores?.value) },
    },
    memory: {
      timestamp,
      workingSetBytes: { value: sum(({ memory }) => memory?.workingSetBytes?.value) },
      usageBytes: { value: sum(({ memory }) => memory?.usageBytes?.value) },
      rssBytes: { value: sum(({ memory }) => memory?.rssBytes?.value) },
      pageFaults: { value: sum(({ memory }) => memory?.pageFaults?.value) },
      majorPageFaults: { value: sum(({ memory }) => memory?.majorPageFaults?.value) },
    },
  };
}
