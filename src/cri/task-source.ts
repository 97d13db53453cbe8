// SPDX-License-Identifier: Apache-2.0
import type { CgroupLayout } from "../metrics/cgroup/cgroup-layout.ts";
import type { TaskInfo } from "../metrics/ports.ts";
import { criNamespace, type StatsTarget } from "./ports.ts";

/** The running sandboxes and containers as metrics label them. From memory. */
export function taskInfos(
  targets: readonly StatsTarget[],
  layout: Pick<CgroupLayout, "locate">,
): TaskInfo[] {
  return targets.map((target) => ({
    namespace: target.sandboxConfig.metadata?.namespace ?? criNamespace,
    pod: target.sandboxConfig.metadata?.name ?? "",
    podUid: target.sandboxConfig.metadata?.uid ?? "",
    container: target.isSandbox ? "POD" : target.name,
    containerId: target.id,
    image: target.image,
    pid: target.pid,
    cgroupPaths: layout.locate(target.cgroupsPath),
    startedAtNanos: target.startedAtNanos,
    netnsPath: target.isSandbox && target.netnsPath !== "" ? target.netnsPath : undefined,
  }));
}
