// SPDX-License-Identifier: Apache-2.0
import { Semaphore } from "../../base/semaphore.ts";
import type { PodSandboxStatsInit } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";
import { EncodedMessage } from "../../rpc/encoded-message.ts";
import { messagesOf } from "../convert/chunks.ts";
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
    const stats = await parts.podStats.list(targets, call, encode);
    return EncodedMessage.list("runtime.v1.ListPodSandboxStatsResponse", "stats", stats);
  };
}

/** StreamPodSandboxStats: the same, each sandbox once, read batch by batch as the client takes them. */
export function streamPodSandboxStats(parts: Needs): Verb<"StreamPodSandboxStats"> {
  return async function* ({ filter }, call) {
    for (const batch of batchesOf(selectSandboxesForStats(parts.sandboxes, filter))) {
      const targets = batch.map((record) => podStatsTarget(parts, record));
      const items = await parts.podStats.list(targets, call, encode);
      yield* messagesOf("runtime.v1.StreamPodSandboxStatsResponse", "podSandboxStats", items);
    }
  };
}

/** At once: the objects of all that are listed would outlive many of V8's collections, and cost the calls that follow. */
function encode(stats: PodSandboxStatsInit): Buffer {
  return codec("runtime.v1.PodSandboxStats").encode(stats);
}
