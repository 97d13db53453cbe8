// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { deadline } from "../base/deadline.ts";
import type { Logger } from "../base/logger.ts";
import type { ContainerInit, ContainerUpdate } from "./messages.ts";
import type { Entry, Pending } from "./pending.ts";
import type { NodeState } from "./ports.ts";

/** How long a container may take from here on until it is shown. */
const longestMs = 30_000;

export interface PendingUpdatesNeeds {
  readonly node: Pick<NodeState, "hasContainer" | "update">;
  readonly containers: Pending<ContainerInit>;
  readonly log: Logger;
  /** Fires at the daemon's stop. */
  readonly life: AbortSignal;
}

/** Updates of one container that is being made, in their order. */
export interface LaterUpdates {
  readonly id: string;
  readonly entry: Entry<ContainerInit>;
  readonly updates: ContainerUpdate[];
}

/**
 * Updates of containers that are being made. Plugins know these, from a Synchronize or because they were asked about
 * them; until the façade shows them their limits cannot be changed.
 */
export class PendingUpdates {
  readonly #needs: PendingUpdatesNeeds;

  constructor(needs: PendingUpdatesNeeds) {
    this.#needs = needs;
  }

  /** What can be applied now, and what later. */
  split(updates: readonly ContainerUpdate[]): {
    readonly now: readonly ContainerUpdate[];
    readonly later: readonly LaterUpdates[];
  } {
    if (updates.length === 0) return { now: updates, later: [] };
    const pending = this.#needs.containers.byId();
    if (pending.size === 0) return { now: updates, later: [] };
    const now: ContainerUpdate[] = [];
    const later = new Map<string, LaterUpdates>();
    for (const update of updates) {
      const id = update.containerId;
      const entry = pending.get(id);
      const known = later.get(id);
      if (entry === undefined) now.push(update);
      else if (known) known.updates.push(update);
      else later.set(id, { id, entry, updates: [update] });
    }
    return { now, later: [...later.values()] };
  }

  /**
   * Applies a plugin's updates of a container once that is made; answers those that failed and did not ask for that to be
   * ignored: also where the making fails, takes too long, or is waiting for this plugin's answer.
   */
  async apply(
    plugin: string | undefined,
    { id, entry, updates }: LaterUpdates,
    { signal }: Cancellable,
  ): Promise<readonly ContainerUpdate[]> {
    const { node, life } = this.#needs;
    using limit = deadline(longestMs, `making container "${id}"`, signal, life);
    const isMade = (await entry.ended(plugin, limit.signal)) && node.hasContainer(id);
    signal.throwIfAborted();
    if (!isMade) return updates.filter(({ ignoreFailure }) => !ignoreFailure);
    return await node.update(updates, { signal: AbortSignal.any([signal, life]) });
  }

  /**
   * The same for what nobody waits for, since an answer must not wait for what may wait for it. Failures are for the log.
   * `plugin` is undefined where several have had their say.
   */
  applyLater(plugin: string | undefined, later: readonly LaterUpdates[]): void {
    for (const updates of later) {
      void this.#tryLater(plugin, updates); // it never rejects, and ends with the daemon's life
    }
  }

  async #tryLater(plugin: string | undefined, updates: LaterUpdates): Promise<void> {
    const { life, log } = this.#needs;
    const about = { plugin, container: updates.id };
    try {
      const failed = await this.apply(plugin, updates, { signal: life });
      if (failed.length === 0) return;
      log.warn({ ...about, failed: failed.length }, "updates of an NRI plugin cannot be applied");
    } catch (err) {
      log.warn({ ...about, err }, "updates of an NRI plugin cannot be applied");
    }
  }
}
