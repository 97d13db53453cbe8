// SPDX-License-Identifier: Apache-2.0
import { Semaphore } from "../../base/semaphore.ts";
import { chunksOf } from "../convert/chunks.ts";
import { selectContainersForStats } from "../convert/select-records.ts";
import type { Facade, Verb } from "../facade.ts";
import { batchesOf, statsListsAtOnce } from "../stats/batches.ts";
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
  const lists = new Semaphore(statsListsAtOnce);
  return async ({ filter }, call) => {
    using _turn = await lists.acquire(call);
    const targets = selectContainersForStats(facade, filter).map((record) =>
      containerStatsTarget(facade, record),
    );
    return { stats: await facade.ports.stats.list(targets, call) };
  };
}

/** StreamContainerStats: the same, each container once, read batch by batch as the client takes them. */
export function streamContainerStats(facade: Facade): Verb<"StreamContainerStats"> {
  return async function* ({ filter }, call) {
    for (const batch of batchesOf(selectContainersForStats(facade, filter))) {
      const targets = batch.map((record) => containerStatsTarget(facade, record));
      const stats = await facade.ports.stats.list(targets, call);
      for (const containerStats of chunksOf(stats, "runtime.v1.ContainerStats")) {
        yield { containerStats };
      }
    }
  };
}
