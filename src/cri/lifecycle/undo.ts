// SPDX-License-Identifier: Apache-2.0
import { deadline } from "../../base/deadline.ts";
import type { Logger } from "../../base/logger.ts";
import type { UndoStep } from "./operation.ts";

/** Each step's own time; a step that hangs does not eat that of the others. */
const undoStepMs = 15_000;

/**
 * What an operation has to take back should it fail: steps run in reverse order, each under its own
 * deadline, all of them even when one fails. `keep` is the commit point.
 */
export class UndoStack implements AsyncDisposable {
  readonly #log: Logger;
  #steps: { readonly name: string; readonly step: UndoStep }[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  add(name: string, step: UndoStep): void {
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.takeBack(undefined);
  }
}
