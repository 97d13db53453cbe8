// SPDX-License-Identifier: Apache-2.0
import { Semaphore } from "../../base/semaphore.ts";
import { chunksOf } from "../convert/chunks.ts";
import { selectSandboxesForStats } from "../convert/select-records.ts";
import type { Facade, Verb } from "../facade.ts";
import { batchesOf, statsListsAtOnce } from "../stats/batches.ts";
import { podStatsTarget } from "../stats/stats-targets.ts";

/** PodSandboxStats: NOT_FOUND for an unknown sandbox; one that is not ready has attributes only. */
export function podSandboxStats(facade: Facade): Verb<"PodSandboxStats"> {
  return async (request, call) => {
    const record = facade.sandboxes.require(request.podSandboxId);
    return { stats: await facade.ports.podStats.one(podStatsTarget(facade, record), call) };
  };
}

/** ListPodSandboxStats: of ready sandboxes; one that cannot be read is left out. */
export function listPodSandboxStats(facade: Facade): Verb<"ListPodSandboxStats"> {
  const lists = new Semaphore(statsListsAtOnce);
  return async ({ filter }, call) => {
    using _turn = await lists.acquire(call);
    const targets = selectSandboxesForStats(facade, filter).map((record) =>
      podStatsTarget(facade, record),
    );
    return { stats: await facade.ports.podStats.list(targets, call) };
  };
}

/** StreamPodSandboxStats: the same, each sandbox once, read batch by batch as the client takes them. */
export function streamPodSandboxStats(facade: Facade): Verb<"StreamPodSandboxStats"> {
  return async function* ({ filter }, call) {
    for (const batch of batchesOf(selectSandboxesForStats(facade, filter))) {
      const targets = batch.map((record) => podStatsTarget(facade, record));
      const stats = await facade.ports.podStats.list(targets, call);
      for (const podSandboxStats of chunksOf(stats, "runtime.v1.PodSandboxStats")) {
        yield { podSandboxStats };
      }
    }
  };
}
