// SPDX-License-Identifier: Apache-2.0
import { Semaphore } from "../../base/semaphore.ts";
import { encoded, messagesOf } from "../convert/chunks.ts";
import { selectSandboxesForStats } from "../convert/select-records.ts";
import type { CriParts } from "../parts.ts";
import { batchesOf, statsListsAtOnce } from "../stats/batches.ts";
import { podStatsTarget, type StatsTargetNeeds } from "../stats/stats-targets.ts";
import type { Verb } from "./verb.ts";

type Needs = StatsTargetNeeds & Pick<CriParts, "podStats">;

/** PodSandboxStats: NOT_FOUND for an unknown sandbox; one that is not ready has attributes only. */
export function podSandboxStats(parts: Needs): Verb<"PodSandboxStats"> {
  return async (request, call) => {
    const record = parts.sandboxes.require(request.podSandboxId);
    return { stats: await parts.podStats.one(podStatsTarget(parts, record), call) };
  };
}

/** ListPodSandboxStats: of ready sandboxes; one that cannot be read is left out. */
export function listPodSandboxStats(parts: Needs): Verb<"ListPodSandboxStats"> {
  const lists = new Semaphore(statsListsAtOnce);
  return async ({ filter }, call) => {
    using _turn = await lists.acquire(call);
    const targets = selectSandboxesForStats(parts.sandboxes, filter).map((record) =>
      podStatsTarget(parts, record),
    );
    return { stats: await parts.podStats.list(targets, call) };
  };
}

/** StreamPodSandboxStats: the same, each sandbox once, read batch by batch as the client takes them. */
export function streamPodSandboxStats(parts: Needs): Verb<"StreamPodSandboxStats"> {
  return async function* ({ filter }, call) {
    for (const batch of batchesOf(selectSandboxesForStats(parts.sandboxes, filter))) {
      const targets = batch.map((record) => podStatsTarget(parts, record));
      const stats = await parts.podStats.list(targets, call);
      const items = encoded("runtime.v1.PodSandboxStats", stats);
      yield* messagesOf("runtime.v1.StreamPodSandboxStatsResponse", "podSandboxStats", items);
    }
  };
}
