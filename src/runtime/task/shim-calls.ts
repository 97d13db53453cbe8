// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { fault } from "../../base/errors.ts";
import type { Shim, TaskApi } from "../shim/shim.ts";
import { shimFault } from "../shim/shim-fault.ts";

/** How long a shim may take to answer, and for what writes or reads a container's memory. */
const callLimitMs = 120_000;
export const longCallMs = 30 * 60_000;

/** The calls of one task to its shim. */
export class ShimCalls {
  readonly #shim: Shim;
  readonly #task: { readonly namespace: string; readonly id: string };
  #hasEnded = false;

  constructor(shim: Shim, task: { readonly namespace: string; readonly id: string }) {
    this.#shim = shim;
    this.#task = task;
  }

  /** Nothing is asked any more: every call from now on is NOT_FOUND. */
  end(): void {
    this.#hasEnded = true;
  }

  /**
   * A shim may be silent: no call lasts longer than `limitMs`, whatever its caller allows. Errors begin with
   * `action`, a clause like `cannot pause task "4f1c"`.
   */
  async ask<T>(
    action: string,
    call: Cancellable,
    invoke: (api: TaskApi, options: { signal: AbortSignal; namespace: string }) => Promise<T>,
    limitMs = callLimitMs,
  ): Promise<T> {
    if (this.#hasEnded) throw fault("NOT_FOUND", `${action}: the task has ended`);
    using limit = deadline(limitMs, "the shim", call.signal);
    try {
      const options = { signal: limit.signal, namespace: this.#task.namespace };
      return await invoke(this.#shim.api, options);
    } catch (error) {
      throw shimFault(error, action);
    }
  }

  /** A process in messages. */
  name(execId: string): string {
    const task = `task "${this.#task.id}"`;
    return execId === "" ? task : `process "${execId}" of ${task}`;
  }
}
