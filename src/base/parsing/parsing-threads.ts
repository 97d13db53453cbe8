// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../cancellable.ts";
import { timeLimit } from "../deadline.ts";
import { fault, isFault } from "../errors.ts";
import { Semaphore } from "../semaphore.ts";
import { unlessAborted } from "../waits.ts";
import { type ParsingTask, ParsingThread, type ParsingThreadOptions } from "./parsing-thread.ts";

export interface ParsingThreadsOptions extends ParsingThreadOptions {
  /** More than one, where one task that takes long must not hold up all others. */
  readonly threads: number;
  /** The longest that one task may take. */
  readonly limitMs: number;
}

/**
 * Threads that parse what is too large for the main one: they start with the first task and end when none has come for
 * some seconds. One that takes too long or too much memory is ended, and the next task has a new one.
 */
export class ParsingThreads<Task extends ParsingTask, Result> {
  readonly #options: ParsingThreadsOptions;
  readonly #turns: Semaphore;
  readonly #idle = new Set<ParsingThread<Task, Result>>();

  constructor(options: ParsingThreadsOptions) {
    this.#options = options;
    this.#turns = new Semaphore(options.threads);
  }

  /**
   * What the thread's module makes of the task, or the fault that it throws; RESOURCE_EXHAUSTED for a task that takes
   * more memory than there is for it, DEADLINE_EXCEEDED for one that takes too long.
   */
  async run(task: Task, call: Cancellable): Promise<Result> {
    using _turn = await this.#turns.acquire(call);
    try {
      return await this.#runOnce(task, call);
    } catch (error) {
      // The thread ended for another reason than this task.
      if (!isFault(error, "UNAVAILABLE")) throw error;
      return await this.#runOnce(task, call);
    }
  }

  async #runOnce(task: Task, { signal }: Cancellable): Promise<Result> {
    const [known] = this.#idle;
    const thread =
      known ?? new ParsingThread<Task, Result>(this.#options, (ended) => this.#idle.delete(ended));
    this.#idle.delete(thread);
    using limit = timeLimit(this.#options.limitMs, signal);
    try {
      const answer = await unlessAborted(thread.ask(task), limit.signal);
      thread.endLater();
      this.#idle.add(thread);
      if (!answer.ok) throw fault(answer.code, answer.message);
      return answer.value;
    } catch (error) {
      // Whatever the thread is doing, the next task must not wait for it.
      if (!this.#idle.has(thread)) thread.end();
      signal.throwIfAborted();
      if (limit.signal.aborted)
        throw fault("DEADLINE_EXCEEDED", `${task.what} takes too long to be read`);
      throw error;
    }
  }
}
