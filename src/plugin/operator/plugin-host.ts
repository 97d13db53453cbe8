// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, type RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { HookName } from "./api.ts";
import type { WorkerStart } from "./messages.ts";
import { PluginWorker } from "./plugin-worker.ts";

/** Threads that may end in a row before the plugin is left alone for a while. */
const endsInRow = 3;
const restMs = 10_000;

export interface PluginHostOptions {
  readonly start: WorkerStart;
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

/**
 * A loaded plugin: calls its hooks, and starts a new thread when one ended. A plugin whose threads
 * keep ending is not called for ten seconds: every call would cost its whole timeout.
 */
export class PluginHost implements AsyncDisposable {
  readonly #options: PluginHostOptions;
  #hooks: ReadonlySet<HookName> | undefined;
  #worker: PluginWorker | undefined;
  #ends = 0;
  #restsUntil = 0;
  #closed = false;

  constructor(options: PluginHostOptions) {
    this.#options = options;
  }

  get hooks(): ReadonlySet<HookName> {
    return this.#hooks ?? new Set();
  }

  /** Starts the first thread. FAILED_PRECONDITION or DEADLINE_EXCEEDED when the plugin does not load. */
  async load(): Promise<void> {
    const worker = this.#spawn();
    try {
      this.#hooks = await worker.loaded();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * One call of a hook. DEADLINE_EXCEEDED, UNKNOWN with what the hook threw, or UNAVAILABLE while the
   * plugin is left alone. A call whose thread ended for another one's sake is run again.
   */
  async call(hook: HookName, request: unknown, call: Cancellable): Promise<unknown> {
    let last: RuntimeFault | undefined;
    for (let attempt = 1; attempt <= endsInRow; attempt += 1) {
      const worker = this.#live(last);
      try {
        await worker.loaded();
        const answer = await worker.call(hook, request, call);
        this.#ends = 0;
        return answer;
      } catch (error) {
        if (!isFault(error, "ABORTED")) throw error;
        last = error;
      }
    }
    throw last ?? fault("INTERNAL", "no attempt was made");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.[Symbol.asyncDispose]();
  }

  #live(last: RuntimeFault | undefined): PluginWorker {
    if (this.#closed) throw fault("UNAVAILABLE", "is stopped");
    if (this.#worker) return this.#worker;
    const rest = this.#restsUntil - this.#now();
    if (rest <= 0) return this.#spawn();
    const why = last?.message ?? "its threads keep ending";
    throw fault("UNAVAILABLE", `is left alone for another ${Math.ceil(rest / 1000)} s: ${why}`);
  }

  #spawn(): PluginWorker {
    const worker = new PluginWorker({
      ...this.#options,
      onEnd: (reason) => this.#onEnd(worker, reason),
    });
    this.#worker = worker;
    return worker;
  }

  #onEnd(worker: PluginWorker, reason: RuntimeFault): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    if (this.#closed || !this.#hooks) return; // stopped on purpose, or load() tells why
    this.#options.log.warn({ reason: reason.message }, "plugin's thread has ended");
    this.#ends += 1;
    if (this.#ends >= endsInRow) this.#restsUntil = this.#now() + restMs;
    else this.#spawn(); // so that the next pod does not wait for it
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}
