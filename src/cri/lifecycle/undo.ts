// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import type { Logger } from "../../base/logger.ts";

/** Each step's own time; a step that hangs does not eat that of the others. */
const undoStepMs = 15_000;

/**
 * What an operation has to take back should it fail: steps run in reverse order, each under its own
 * deadline, all of them even when one fails. `keep` is the commit point.
 *
 *     await using undo = new UndoStack(log);
 *     undo.add("network", (call) => network.teardown(request, call)); // before setup: it may half-succeed
 *     await network.setup(request, call);
 *     undo.keep();
 */
export class UndoStack implements AsyncDisposable {
  readonly #log: Logger;
  #steps: { readonly name: string; readonly step: (call: Cancellable) => Promise<unknown> }[] = [];
  readonly #failed: string[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The names of steps that could not be undone; complete for the step that was added first. */
  get failed(): readonly string[] {
    return this.#failed;
  }

  add(name: string, step: (call: Cancellable) => Promise<unknown>): void {
    this.#steps.push({ name, step });
  }

  keep(): void {
    this.#steps = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { name, step } of this.#steps.splice(0).toReversed()) {
      using limit = deadline(undoStepMs, `undoing "${name}"`);
      try {
        await step(limit);
      } catch (error) {
        this.#failed.push(name);
        this.#log.error({ err: error, step: name }, "undo failed");
      }
    }
  }
}
