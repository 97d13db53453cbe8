// SPDX-License-Identifier: Apache-2.0

import type { Logger } from "../../base/logger.ts";

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

/** A call that runs, visible to operators. `run` names a stage while it runs; dispose it at the call's end. */
export interface Claim extends Disposable {
  /** `allowedMs`: what the caller gives the step, a grace period say; it is slow only beyond that. */
  run<T>(stage: string, step: () => Promise<T>, allowedMs?: number): Promise<T>;
}

export type ClaimLevel = "info" | "debug";

export class RunningClaim implements Claim {
  readonly #facts: ClaimFacts;
  readonly #log: Logger;
  readonly #hooks: OperationHooks;
  readonly #onEnd: () => void;
  readonly #startedAt = performance.now();
  readonly #stages = new Map<symbol, Stage>();
  readonly #durationsMs: Record<string, number> = {};
  #failed = false;
  #ended = false;

  constructor(facts: ClaimFacts, { log, hooks, onEnd }: ClaimOptions) {
    this.#facts = facts;
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
    const { rpc, object } = this.#facts;
    this.#log.debug({ rpc, object, stage, durationMs, failed }, "stage ended");
    this.#hooks.onStage?.({ rpc, stage, seconds: ms / 1000, failed });
  }

  /** With the stages that have run this long, beyond what they are allowed. */
  view(overdueMs = Number.NEGATIVE_INFINITY): OperationView {
    const now = performance.now();
    const { rpc, object } = this.#facts;
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
    const { rpc, object, level } = this.#facts;
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

interface ClaimFacts {
  readonly rpc: string;
  readonly object: string;
  /** Of the line that tells its end. */
  readonly level: ClaimLevel;
}

interface ClaimOptions {
  readonly log: Logger;
  readonly hooks: OperationHooks;
  readonly onEnd: () => void;
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
