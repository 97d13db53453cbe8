// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { ContainerStatsInit } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";
import { EncodedMessage } from "../../rpc/encoded-message.ts";
import { messagesOf } from "../convert/chunks.ts";
import { selectContainersForStats } from "../convert/select-records.ts";
import type { CriParts } from "../parts.ts";
import { batchesOf, statsListsAtOnce } from "../stats/batches.ts";
import { type ContainerTargetNeeds, containerStatsTarget } from "../stats/stats-targets.ts";
import type { Verb } from "./verb.ts";

type Needs = ContainerTargetNeeds & Pick<CriParts, "containers" | "stats">;

/**
 * ContainerStats: NOT_FOUND for an unknown container, FAILED_PRECONDITION for one that does not run, which the lists
 * leave out: its figures would be those of nothing. containerd refuses it likewise.
 */
export function containerStats(parts: Needs): Verb<"ContainerStats"> {
  return async (request, call) => {
    const record = parts.containers.require(request.containerId);
    if (record.state.kind !== "running") {
      throw fault(
        "FAILED_PRECONDITION",
        `container "${record.id}" is not running: it has no stats`,
      );
    }
    const target = containerStatsTarget(parts, record);
    return { stats: await parts.stats.one(target, call) };
  };
}

/** ListContainerStats: of running containers; one that cannot be read is left out. */
export function listContainerStats(parts: Needs): Verb<"ListContainerStats"> {
  const lists = new Semaphore(statsListsAtOnce);
  return async ({ filter }, call) => {
    using _turn = await lists.acquire(call);
    const targets = selectContainersForStats(parts.containers, filter).map((record) =>
      containerStatsTarget(parts, record),
    );
    const stats = await parts.stats.list(targets, call, encode);
    return EncodedMessage.list("runtime.v1.ListContainerStatsResponse", "stats", stats);
  };
}

/** StreamContainerStats: the same, each container once, read batch by batch as the client takes them. */
export function streamContainerStats(parts: Needs): Verb<"StreamContainerStats"> {
  return async function* ({ filter }, call) {
    for (const batch of batchesOf(selectContainersForStats(parts.containers, filter))) {
      const targets = batch.map((record) => containerStatsTarget(parts, record));
      const items = await parts.stats.list(targets, call, encode);
      yield* messagesOf("runtime.v1.StreamContainerStatsResponse", "containerStats", items);
    }
  };
}

/** At once: the objects of all that are listed would outlive many of V8's collections, and cost the calls that follow. */
function encode(stats: ContainerStatsInit): Buffer {
  return codec("runtime.v1.ContainerStats").encode(stats);
}
