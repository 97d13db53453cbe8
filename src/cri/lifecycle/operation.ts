// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import type { Logger } from "../../base/logger.ts";

/** What a verb asks for when it has an operation performed. */
export interface OperationRequest {
  readonly rpc: string;
  /** Id or name of what it works on. With `rpc` it is what a second call joins by. */
  readonly object: string;
  /**
   * A second call joins the first: it gets that one's result or failure, and the operation outlives the
   * request that began it. With a `request` both must agree in it: ALREADY_EXISTS else. One that is only worth it
   * `whileWatched` ends when nobody waits for it any more, and is undone before the next one of its name begins.
   */
  readonly joins?: boolean | { readonly request: unknown; readonly whileWatched?: boolean };
  /** How long it may take, and what it is, for the fault at the end of that: `starting container "4f1c"`. */
  readonly limit?: { readonly ms: number; readonly what: string };
  /** Runs before all else, for calls that join none. What it refuses by throwing is no operation: nobody sees it. */
  readonly admit?: () => void;
  /** What the log says beside the name of a step that could not be undone. */
  readonly facts?: Readonly<Record<string, string>>;
}

/**
 * One mutating verb at work: its stages, what takes them back, and its time. It is the `call` of what it
 * waits for: its signal fires at the end of its time, and with the daemon where a call may join it, else with
 * its request.
 */
export interface Operation extends Cancellable {
  readonly run: Claim["run"];
  /**
   * Adds what takes a step back should the operation fail. Steps run in reverse order, each under a deadline
   * of its own, all of them even when one fails; never under the operation's own signal.
   */
  undo(name: string, step: UndoStep): void;
  /** The commit point: what fails from here on undoes nothing. Without it, the operation's end. */
  keep(): void;
}

/** Why a step is undone, and how the undoing goes. */
export interface Undoing {
  /** What the operation failed with. */
  readonly error: unknown;
  /** The names of steps that could not be undone; complete for the step that was added first. */
  readonly failed: readonly string[];
}

export type UndoStep = (call: Cancellable, undoing: Undoing) => Promise<unknown>;

/** A call that runs, visible to operators. `run` names a stage while it runs; dispose it at the call's end. */
export interface Claim extends Disposable {
  /** `allowedMs`: what the caller gives the step, a grace period say; it is slow only beyond that. */
  run<T>(stage: string, step: () => Promise<T>, allowedMs?: number): Promise<T>;
}

export type ClaimLevel = "info" | "debug";

/** A running operation as an operator sees it. */
export interface OperationView {
  readonly rpc: string;
  /** Id or name of what it works on. */
  readonly object: string;
  /** Stages that run now; several when work is done side by side. */
  readonly stages: readonly { readonly stage: string; readonly seconds: number }[];
  readonly seconds: number;
}

/** Who wants to know of operations: metrics, and whoever tells of pods. */
export interface OperationHooks {
  onStage?(event: { rpc: string; stage: string; seconds: number; failed: boolean }): void;
  onOperation?(event: { rpc: string; seconds: number; failed: boolean }): void;
  /** Some of its stages run for long, beyond what they are allowed; again and again while they do. */
  onSlow?(view: OperationView): void;
}

/** Each undo step's own time; a step that hangs does not eat that of the others. */
const undoStepMs = 15_000;

/** An operation that runs, visible by its claim. */
export class RunningOperation implements Operation {
  readonly signal: AbortSignal;
  readonly #claim: Claim;
  readonly #log: Logger;
  #steps: { readonly name: string; readonly step: UndoStep }[] = [];

  constructor(claim: Claim, { signal }: Cancellable, log: Logger) {
    this.#claim = claim;
    this.signal = signal;
    this.#log = log;
  }

  run<T>(stage: string, step: () => Promise<T>, allowedMs?: number): Promise<T> {
    return this.#claim.run(stage, step, allowedMs);
  }

  undo(name: string, step: UndoStep): void {
    this.#steps.push({ name, step });
  }

  keep(): void {
    this.#steps = [];
  }

  /** Takes all back that was not kept. Never rejects: what cannot be undone is logged. */
  async takeBack(error: unknown): Promise<void> {
    const failed: string[] = [];
    for (const { name, step } of this.#steps.splice(0).toReversed()) {
      using limit = deadline(undoStepMs, `undoing "${name}"`);
      try {
        await step(limit, { error, failed });
      } catch (failure) {
        failed.push(name);
        this.#log.error({ err: failure, step: name }, "undo failed");
      }
    }
  }
}

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
