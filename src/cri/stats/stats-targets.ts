// SPDX-License-Identifier: Apache-2.0
import type { PodSandboxConfig } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";
import { containersOf, type Facade } from "../facade.ts";
import type { PodStatsTarget, StatsTarget } from "../ports.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { netnsPathOf, type SandboxRecord } from "../store/sandbox-record.ts";

/** A container as cgroup readers want it. */
export function containerStatsTarget(facade: Facade, record: ContainerRecord): StatsTarget {
  const sandbox = facade.sandboxes.get(record.sandboxId);
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
export function runningTargets(facade: Facade): StatsTarget[] {
  const sandboxes = [...facade.sandboxes.list()]
    .filter(({ state }) => state.kind === "ready")
    .map((record) => sandboxTarget(facade, record));
  const containers = [...facade.containers.list()]
    .filter(({ state }) => state.kind === "running")
    .map((record) => containerStatsTarget(facade, record));
  return [...sandboxes, ...containers];
}

/** A sandbox with what runs in it. */
export function podStatsTarget(facade: Facade, record: SandboxRecord): PodStatsTarget {
  return {
    sandbox: sandboxTarget(facade, record),
    cgroupParent: record.config.linux?.cgroupParent ?? "",
    containers: containersOf(facade, record.id)
      .filter(({ state }) => state.kind === "running")
      .map((container) => containerStatsTarget(facade, container)),
  };
}

function sandboxTarget(facade: Facade, record: SandboxRecord): StatsTarget {
  const { config, state } = record;
  return {
    id: record.id,
    sandboxId: record.id,
    isSandbox: true,
    name: config.metadata?.name ?? "",
    attempt: config.metadata?.attempt ?? 0,
    labels: config.labels,
    annotations: config.annotations,
    image: facade.ports.config.cri.sandboxImage,
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
