// SPDX-License-Identifier: Apache-2.0
import { idMatches, labelsMatch } from "../convert/selector.ts";
import type { Facade, Verb } from "../facade.ts";
import { containerStatsTarget } from "../stats/stats-targets.ts";

/** ContainerStats: NOT_FOUND for an unknown container. */
export function containerStats(facade: Facade): Verb<"ContainerStats"> {
  return async (request, call) => {
    const record = facade.containers.require(request.containerId);
    const target = containerStatsTarget(facade, record);
    return { stats: await facade.ports.stats.one(target, call) };
  };
}

/** ListContainerStats: of running containers; one that cannot be read is left out. */
export function listContainerStats(facade: Facade): Verb<"ListContainerStats"> {
  return async ({ filter }, call) => {
    const targets = [...facade.containers.list()]
      .filter(
        (record) =>
          record.state.kind === "running" &&
          idMatches(record.id, filter?.id) &&
          idMatches(record.sandboxId, filter?.podSandboxId) &&
          labelsMatch(record.config.labels, filter?.labelSelector),
      )
      .map((record) => containerStatsTarget(facade, record));
    return { stats: await facade.ports.stats.list(targets, call) };
  };
}
