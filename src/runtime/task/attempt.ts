// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../../base/logger.ts";

/** A step of an undo or of an end: it must not hide what caused it, nor keep the next from being done. Never rejects. */
export async function attempt(
  step: { readonly log: Logger; readonly task: string; readonly failure: string },
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (err) {
    step.log.error({ err, task: step.task }, step.failure);
  }
}
