// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { fault, isFault, type RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { SingleFlight } from "../../base/single-flight.ts";
import { startInterval, type Timer } from "../../base/timers.ts";
import { unlessAborted } from "../../base/waits.ts";
import {
  type Claim,
  type ClaimLevel,
  type Operation,
  type OperationHooks,
  type OperationRequest,
  type OperationView,
  RunningClaim,
  RunningOperation,
} from "./operation.ts";

/** A stage that runs longer than this is logged, and again each time as long. */
const slowStageMs = 10_000;

export interface OperationsOptions {
  readonly log: Logger;
  readonly hooks?: OperationHooks;
  /** Operations that calls may join run under it, not under a request. */
  readonly lifetime?: AbortSignal;
}

interface Attempt {
  readonly request: unknown;
  /** Settles when it has ended, and is undone if it failed. */
  readonly end: Promise<void>;
}

/** What runs in the CRI façade: at which stage, since when, and who joins what. */
export class OperationRegistry {
  readonly #running = new Set<RunningClaim>();
  readonly #flights: SingleFlight<unknown>;
  /** Of operations that end when nobody waits for them. */
  readonly #watched: SingleFlight<unknown>;
  /** The last attempt under a key where joining depends on what it was asked for. */
  readonly #attempts = new Map<string, Attempt>();
  readonly #log: Logger;
  readonly #hooks: OperationHooks;
  #watch: Timer | undefined;
  #idle: (() => void)[] = [];

  constructor({ log, hooks = {}, lifetime }: OperationsOptions) {
    this.#log = log;
    this.#hooks = hooks;
    const ends = lifetime ? { lifetime } : {};
    this.#flights = new SingleFlight(ends);
    this.#watched = new SingleFlight({ ...ends, abandonWhenUnwatched: true });
  }

  /** Performs one, or joins the one that runs. When `work` fails, what it has done is undone. */
  perform<T>(
    request: OperationRequest,
    call: Cancellable,
    work: (op: Operation) => Promise<T>,
  ): Promise<T> {
    const { rpc, object, joins } = request;
    const perform = (own: Cancellable): Promise<T> => this.#perform(request, own, work);
    if (!joins) return perform(call);
    if (joins === true) return this.join(rpc, object, perform, call);
    return this.#joinSame(keyOf(rpc, object), { object, ...joins }, perform, call);
  }

  /** Does the work, or joins who does it already: no operation of its own, but a part of one. */
  join<T>(
    verb: string,
    object: string,
    work: (own: Cancellable) => Promise<T>,
    call: Cancellable,
  ): Promise<T> {
    return this.#flights.join(keyOf(verb, object), work, call) as Promise<T>;
  }

  /** Whether a call that others join, or wait for, runs. */
  isRunning(rpc: string, object: string): boolean {
    const key = keyOf(rpc, object);
    return this.#flights.isRunning(key) || this.#watched.isRunning(key);
  }

  /**
   * Waits for the end of an operation, good or bad, if it runs: not for one that is only worth it while it is watched.
   * Rejects only when the call is over.
   */
  async ended(rpc: string, object: string, call: Cancellable): Promise<void> {
    const key = keyOf(rpc, object);
    if (!this.#flights.isRunning(key)) return;
    try {
      await this.#flights.join(key, () => Promise.resolve(), call);
    } catch (error) {
      if (call.signal.aborted && !isFault(error)) throw error;
    }
  }

  /** Ends one that calls may join, if it runs: it fails for this reason, and is undone. */
  interrupt(rpc: string, object: string, reason: RuntimeFault): void {
    this.#flights.interrupt(keyOf(rpc, object), reason);
  }

  /**
   * Makes a call visible, for one that changes no state, or ends after its answer. Claims are no queue: two on
   * one object may run side by side. Their end is logged, at debug for those that change no state.
   */
  claim(rpc: string, object: string, level: ClaimLevel = "info"): Claim {
    const claim = new RunningClaim(
      { rpc, object, level },
      {
        log: this.#log,
        hooks: this.#hooks,
        onEnd: () => {
          this.#running.delete(claim);
          if (this.#running.size === 0) this.#rest();
        },
      },
    );
    this.#running.add(claim);
    this.#watch ??= startInterval(() => this.#reportSlow(), slowStageMs).unref();
    return claim;
  }

  list(): readonly OperationView[] {
    return [...this.#running].map((claim) => claim.view());
  }

  /** Those with stages that have run for so long, beyond what they are allowed; with these stages alone. */
  overdue(ms: number): readonly OperationView[] {
    const all = [...this.#running].map((claim) => claim.view(ms));
    return all.filter(({ stages }) => stages.length > 0);
  }

  /** How many are at each stage. */
  stages(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { stages } of this.list()) {
      for (const { stage } of stages) counts.set(stage, (counts.get(stage) ?? 0) + 1);
    }
    return counts;
  }

  /** Settles when no operation runs. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #perform<T>(
    { rpc, object, limit, admit, facts }: OperationRequest,
    call: Cancellable,
    work: (op: Operation) => Promise<T>,
  ): Promise<T> {
    admit?.();
    using time = limit && deadline(limit.ms, limit.what, call.signal);
    using claim = this.claim(rpc, object);
    const op = new RunningOperation(
      claim,
      time ?? call,
      facts ? this.#log.child(facts) : this.#log,
    );
    try {
      return await work(op);
    } catch (error) {
      await op.takeBack(error);
      throw error;
    }
  }

  async #joinSame<T>(
    key: string,
    asked: Pick<Attempt, "request"> & { readonly object: string; readonly whileWatched?: boolean },
    work: (own: Cancellable) => Promise<T>,
    call: Cancellable,
  ): Promise<T> {
    const { object, request, whileWatched = false } = asked;
    const known = this.#attempts.get(key);
    if (known && !isDeepStrictEqual(known.request, request)) {
      throw fault("ALREADY_EXISTS", `name "${object}" is being made with another configuration`);
    }
    const remembered = async (own: Cancellable): Promise<T> => {
      const { promise: end, resolve } = Promise.withResolvers<void>();
      const abandoned = this.#attempts.get(key);
      const attempt = { request, end };
      this.#attempts.set(key, attempt);
      try {
        if (abandoned) await unlessAborted(abandoned.end, own.signal);
        return await work(own);
      } finally {
        resolve(abandoned?.end);
        if (this.#attempts.get(key) === attempt) this.#attempts.delete(key);
      }
    };
    const flights = whileWatched ? this.#watched : this.#flights;
    return flights.join(key, remembered, call) as Promise<T>;
  }

  #rest(): void {
    this.#watch?.stop();
    this.#watch = undefined;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #reportSlow(): void {
    for (const view of this.overdue(slowStageMs)) {
      this.#log.warn({ ...view }, "operation is slow");
      this.#hooks.onSlow?.(view);
    }
  }
}

function keyOf(verb: string, object: string): string {
  return `${verb}/${object}`;
}
