// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { ContainerMetadata } from "../../gen/cri.gen.ts";
import type { CgroupPaths } from "../../metrics/cgroup/cgroup-layout.ts";
import type { CgroupSample } from "../../metrics/cgroup/cgroup-sample.ts";

/** One container as its stats need it. */
export interface StatsContainer {
  readonly id: string;
  readonly sandboxId: string;
  readonly metadata: ContainerMetadata;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly isRunning: boolean;
  /** From CgroupLayout.locate(cgroupsPath of the spec). */
  readonly cgroupPaths: CgroupPaths;
  readonly snapshotKey: string;
}

/** Where stats come from; the containers answer from memory. */
export interface StatsPorts {
  /** By id or unique prefix. */
  find(idOrPrefix: string): StatsContainer | undefined;
  list(): readonly StatsContainer[];
  /** What a container's writable layer holds; may walk a directory. */
  snapshotUsage(
    key: string,
    call: Cancellable,
  ): Promise<{ readonly sizeBytes: bigint; readonly inodes: bigint }>;
  /** Where the snapshotter keeps layers: the kubelet takes this file system's capacity. */
  readonly snapshotMountpoint: string;
  /** How long a writable layer's figures are good for. */
  readonly statsPeriodMs: number;
  /** readCgroupSample, and another only in tests. */
  readonly readSample?: ((paths: CgroupPaths) => Promise<CgroupSample | undefined>) | undefined;
}
