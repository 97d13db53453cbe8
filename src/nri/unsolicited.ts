// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { mapAtOnce } from "../base/map-at-once.ts";
import { Semaphore } from "../base/semaphore.ts";
import { sleep } from "../base/timers.ts";
import { allSettled } from "../base/waits.ts";
import { AnswerBudget } from "./merge/answer-budget.ts";
import { checkResources } from "./merge/check-resources.ts";
import type {
  ContainerEviction,
  ContainerUpdate,
  UpdateContainersRequest,
  UpdateContainersResponseInit,
} from "./messages.ts";
import type { PendingUpdates } from "./pending-updates.ts";
import type { NodeState } from "./ports.ts";
import { RateBudget } from "./rate-budget.ts";

/** The least time from one message of a plugin to the next, in milliseconds. */
const messageMs = 10;
/** Updates and evictions of one message, and of all that come at once; then so many a second. */
const mostAtOnce = 4096;
const perSecond = 100;
/** How many of one plugin's are applied at the same time: each starts a program of the OCI runtime, as pods do. */
const appliedAtOnce = 2;
/** What one message may hold. */
const messageLimits = { values: 131_072, characters: 2 * 1024 * 1024, of: "the message has" };
/** What one update may hold: it goes into a spec and a record. */
const updateLimits = { values: 1024, characters: 64 * 1024, of: "the update has" };

export interface UnsolicitedNeeds {
  readonly node: Pick<NodeState, "update">;
  readonly pending: PendingUpdates;
  readonly evict: (
    plugin: string,
    evictions: readonly ContainerEviction[],
    call: Cancellable,
  ) => Promise<void>;
  readonly log: Logger;
}

/**
 * What one plugin wants of containers without being asked about them. Its messages have their turns one after the other, and
 * a budget of their own: what is beyond that is refused, so that no plugin keeps the node busy with its updates.
 */
export class Unsolicited {
  readonly #needs: UnsolicitedNeeds;
  readonly #turns = new Semaphore(1);
  readonly #rate = new RateBudget(mostAtOnce, perSecond);
  #isRefusing = false;

  constructor(needs: UnsolicitedNeeds) {
    this.#needs = needs;
  }

  /**
   * UpdateContainers: applies, then evicts; updates of containers that are being made wait for these outside of its turn.
   * RESOURCE_EXHAUSTED, with the plugin's name, for more than its budget has, FAILED_PRECONDITION for texts that are too
   * long: then nothing is done.
   */
  async take(
    plugin: string,
    { update, evict }: UpdateContainersRequest,
    call: Cancellable,
  ): Promise<UpdateContainersResponseInit> {
    this.#admit(plugin, update, evict);
    const { pending } = this.#needs;
    const { good, failed } = this.#checked(plugin, update);
    const { now, later } = pending.split(good);
    const [atOnce, ...made] = await allSettled([
      this.#inTurn(plugin, now, evict, call),
      ...later.map((updates) => pending.apply(plugin, updates, call)),
    ]);
    return { failed: [...failed, ...atOnce, ...made.flat()] };
  }

  /** What it answers to a Synchronize; answers how many failed. Those of containers that are being made are applied later. */
  async synchronized(
    plugin: string,
    updates: readonly ContainerUpdate[],
    call: Cancellable,
  ): Promise<number> {
    const { good, failed } = this.#checked(plugin, updates);
    const { now, later } = this.#needs.pending.split(good);
    this.#needs.pending.applyLater(plugin, later);
    return failed.length + (await this.#apply(now, call)).length;
  }

  async #inTurn(
    plugin: string,
    updates: readonly ContainerUpdate[],
    evictions: readonly ContainerEviction[],
    call: Cancellable,
  ): Promise<readonly ContainerUpdate[]> {
    using _turn = await this.#turns.acquire(call);
    const [failed] = await Promise.all([this.#apply(updates, call), sleep(messageMs, call)]);
    await this.#needs.evict(plugin, evictions, call);
    return failed;
  }

  async #apply(
    updates: readonly ContainerUpdate[],
    call: Cancellable,
  ): Promise<readonly ContainerUpdate[]> {
    const { node } = this.#needs;
    const failed = await mapAtOnce(updates, appliedAtOnce, (each) => node.update([each], call));
    return failed.flat();
  }

  #admit(
    plugin: string,
    update: readonly ContainerUpdate[],
    evict: readonly ContainerEviction[],
  ): void {
    try {
      const tooMuch = fault(
        "RESOURCE_EXHAUSTED",
        `NRI plugin "${plugin}" wants too much: it may have ${mostAtOnce} updates and evictions at once, and then ${perSecond} a second`,
      );
      const count = update.length + evict.length;
      if (count > mostAtOnce || !this.#rate.take(Math.max(1, count))) throw tooMuch;
      const budget = new AnswerBudget(messageLimits);
      budget.take(plugin, update, "update");
      budget.take(plugin, evict, "evict");
      this.#isRefusing = false;
    } catch (err) {
      if (!this.#isRefusing) {
        this.#needs.log.warn({ plugin, err }, "updates of an NRI plugin are refused");
      }
      this.#isRefusing = true;
      throw err;
    }
  }

  /** Without those whose limits no kernel has, or that are too long for a record. */
  #checked(
    plugin: string,
    updates: readonly ContainerUpdate[],
  ): { readonly good: readonly ContainerUpdate[]; readonly failed: readonly ContainerUpdate[] } {
    const good: ContainerUpdate[] = [];
    const failed: ContainerUpdate[] = [];
    let first: unknown;
    for (const [at, update] of updates.entries()) {
      try {
        new AnswerBudget(updateLimits).take(plugin, update, `update[${at}]`);
        const resources = update.linux?.resources;
        if (resources) checkResources(plugin, resources, `update[${at}].linux.resources`);
        good.push(update);
      } catch (error) {
        first ??= error;
        if (!update.ignoreFailure) failed.push(update);
      }
    }
    if (first !== undefined) {
      const err = toFault(first);
      this.#needs.log.warn({ plugin, err }, "updates of an NRI plugin cannot be applied");
    }
    return { good, failed };
  }
}
