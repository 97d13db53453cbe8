// SPDX-License-Identifier: Apache-2.0
import type { PodSandboxConfig } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";
import type { CriParts } from "../parts.ts";
import type { PodStatsTarget, StatsTarget } from "../ports.ts";
import { type ContainerRecord, containersOf } from "../store/container-record.ts";
import { netnsPathOf, type SandboxRecord } from "../store/sandbox-record.ts";

export type ContainerTargetNeeds = Pick<CriParts, "sandboxes">;
export type StatsTargetNeeds = ContainerTargetNeeds & Pick<CriParts, "config" | "containers">;

/** A container as cgroup readers want it. */
export function containerStatsTarget(
  { sandboxes }: ContainerTargetNeeds,
  record: ContainerRecord,
): StatsTarget {
  const sandbox = sandboxes.get(record.sandboxId);
  return {
    id: record.id,
    sandboxId: record.sandboxId,
    isSandbox: false,
    name: record.config.metadata?.name ?? "",
    attempt: record.config.metadata?.attempt ?? 0,
    labels: record.config.labels,
    annotations: record.config.annotations,
    image: record.imageName,
    pid: record.state.kind === "running" ? record.state.pid : 0,
    cgroupsPath: record.cgroupsPath,
    startedAtNanos: record.state.kind === "running" ? record.state.startedAtNanos : 0n,
    netnsPath: sandbox ? netnsPathOf(sandbox) : "",
    snapshotKey: record.id,
    sandboxConfig: sandbox?.config ?? noSandbox(),
  };
}

/** What runs now: ready sandboxes and running containers, for metrics. From memory. */
export function runningTargets(parts: StatsTargetNeeds): StatsTarget[] {
  const sandboxes = [...parts.sandboxes.list()]
    .filter(({ state }) => state.kind === "ready")
    .map((record) => sandboxTarget(parts, record));
  const containers = [...parts.containers.list()]
    .filter(({ state }) => state.kind === "running")
    .map((record) => containerStatsTarget(parts, record));
  return [...sandboxes, ...containers];
}

/** A sandbox with what runs in it. */
export function podStatsTarget(parts: StatsTargetNeeds, record: SandboxRecord): PodStatsTarget {
  return {
    sandbox: sandboxTarget(parts, record),
    cgroupParent: record.config.linux?.cgroupParent ?? "",
    containers: containersOf(parts.containers, record.id)
      .filter(({ state }) => state.kind === "running")
      .map((container) => containerStatsTarget(parts, container)),
  };
}

function sandboxTarget(
  { config: settings }: Pick<CriParts, "config">,
  record: SandboxRecord,
): StatsTarget {
  const { config, state } = record;
  return {
    id: record.id,
    sandboxId: record.id,
    isSandbox: true,
    name: config.metadata?.name ?? "",
    attempt: config.metadata?.attempt ?? 0,
    labels: config.labels,
    annotations: config.annotations,
    image: settings.cri.sandboxImage,
    pid: state.kind === "ready" ? state.pid : 0,
    cgroupsPath: record.cgroupsPath,
    startedAtNanos: record.createdAtNanos,
    netnsPath: netnsPathOf(record),
    snapshotKey: "",
    sandboxConfig: config,
  };
}

/** A container whose sandbox's record was damaged still has stats. */
function noSandbox(): PodSandboxConfig {
  return codec("runtime.v1.PodSandboxConfig").normalize({});
}
