// SPDX-License-Identifier: Apache-2.0

import type { Logger } from "../../base/logger.ts";
import { startInterval, type Timer } from "../../base/timers.ts";

/** A running operation as an operator sees it. */
export interface OperationView {
  readonly rpc: string;
  /** Id or name of what it works on. */
  readonly object: string;
  /** Stages that run now; several when work is done side by side. */
  readonly stages: readonly { readonly stage: string; readonly seconds: number }[];
  readonly seconds: number;
}

/** Who wants to know of operations: metrics. */
export interface OperationHooks {
  onStage?(event: { rpc: string; stage: string; seconds: number; failed: boolean }): void;
  onOperation?(event: { rpc: string; seconds: number; failed: boolean }): void;
}

/** One claim. `run` names a step while it runs; dispose it when the operation has ended. */
export interface Operation extends Disposable {
  /** `allowedMs`: what the caller gives the step, a grace period say; it is slow only beyond that. */
  run<T>(stage: string, step: () => Promise<T>, allowedMs?: number): Promise<T>;
}

export interface Operations {
  /**
   * Claims are visible, not a queue: two on one object may run side by side. Their end is logged, at
   * debug for those that change no state.
   */
  claim(rpc: string, object: string, level?: "info" | "debug"): Operation;
  list(): readonly OperationView[];
}

/** A stage that runs longer than this is logged, and again each time as long. */
const slowStageMs = 10_000;

/** The claims of the CRI façade: what runs, at which stage, since when. */
export class OperationRegistry implements Operations {
  readonly #running = new Set<RunningOperation>();
  readonly #log: Logger;
  readonly #hooks: OperationHooks;
  #watch: Timer | undefined;
  #idle: (() => void)[] = [];

  constructor(log: Logger, hooks: OperationHooks = {}) {
    this.#log = log;
    this.#hooks = hooks;
  }

  claim(rpc: string, object: string, level: "info" | "debug" = "info"): Operation {
    const operation = new RunningOperation({ rpc, object, level }, this.#log, this.#hooks, () => {
      this.#running.delete(operation);
      if (this.#running.size === 0) this.#rest();
    });
    this.#running.add(operation);
    this.#watch ??= startInterval(() => this.#reportSlow(), slowStageMs).unref();
    return operation;
  }

  list(): readonly OperationView[] {
    return [...this.#running].map((operation) => operation.view());
  }

  /** Settles when no operation runs. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #rest(): void {
    this.#watch?.stop();
    this.#watch = undefined;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #reportSlow(): void {
    for (const operation of this.#running) {
      const view = operation.view(slowStageMs);
      if (view.stages.length > 0) this.#log.warn({ ...view }, "operation is slow");
    }
  }
}

class RunningOperation implements Operation {
  readonly #claim: Claim;
  readonly #log: Logger;
  readonly #hooks: OperationHooks;
  readonly #onEnd: () => void;
  readonly #startedAt = performance.now();
  readonly #stages = new Map<symbol, Stage>();
  readonly #durationsMs: Record<string, number> = {};
  #failed = false;
  #ended = false;

  constructor(claim: Claim, log: Logger, hooks: OperationHooks, onEnd: () => void) {
    this.#claim = claim;
    this.#log = log;
    this.#hooks = hooks;
    this.#onEnd = onEnd;
  }

  async run<T>(stage: string, step: () => Promise<T>, allowedMs = 0): Promise<T> {
    const key = Symbol(stage);
    const startedAt = performance.now();
    this.#stages.set(key, { stage, startedAt, allowedMs });
    let failed = true;
    try {
      const result = await step();
      failed = false;
      return result;
    } finally {
      this.#failed ||= failed;
      this.#stages.delete(key);
      this.#endStage(stage, performance.now() - startedAt, failed);
    }
  }

  #endStage(stage: string, ms: number, failed: boolean): void {
    const durationMs = rounded(ms);
    this.#durationsMs[stage] = durationMs;
    const { rpc, object } = this.#claim;
    this.#log.debug({ rpc, object, stage, durationMs, failed }, "stage ended");
    this.#hooks.onStage?.({ rpc, stage, seconds: ms / 1000, failed });
  }

  /** With the stages that have run this long, beyond what they are allowed. */
  view(overdueMs = Number.NEGATIVE_INFINITY): OperationView {
    const now = performance.now();
    const { rpc, object } = this.#claim;
    return {
      rpc,
      object,
      seconds: rounded(now - this.#startedAt) / 1000,
      stages: [...this.#stages.values()]
        .filter(({ startedAt, allowedMs }) => now - startedAt - allowedMs >= overdueMs)
        .map(({ stage, startedAt }) => ({ stage, seconds: rounded(now - startedAt) / 1000 })),
    };
  }

  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    const ms = performance.now() - this.#startedAt;
    const { rpc, object, level } = this.#claim;
    const facts = { rpc, object, durationMs: rounded(ms), stagesMs: this.#durationsMs };
    this.#log[level](facts, this.#failed ? "operation failed" : "operation ended");
    this.#hooks.onOperation?.({ rpc, seconds: ms / 1000, failed: this.#failed });
  }
}

interface Stage {
  readonly stage: string;
  readonly startedAt: number;
  readonly allowedMs: number;
}

interface Claim {
  readonly rpc: string;
  readonly object: string;
  readonly level: "info" | "debug";
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
