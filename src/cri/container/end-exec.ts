// SPDX-License-Identifier: Apache-2.0
import { cleanupDeadline } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import { within } from "../../base/waits.ts";
import type { Process } from "../../client/ports.ts";
import type { CriParts } from "../parts.ts";

export type EndExecNeeds = Pick<CriParts, "log">;

const sigkill = 9;
/** How long a killed process may take to go before we go on without it. */
const killedMs = 5_000;

/** Kills an exec and waits for its end, for a while. Never throws. */
export async function killExec(
  { log }: EndExecNeeds,
  process: Process,
  exited: Promise<unknown>,
): Promise<void> {
  try {
    await process.kill(sigkill, { signal: cleanupDeadline(killedMs) });
  } catch (error) {
    // It has ended, was never started, or its shim has gone: deleting it shows which.
    log.debug({ err: error, exec: process.id }, "exec could not be killed");
    return;
  }
  await within(exited, killedMs);
}

/** Deletes an exec that has ended. Never throws; its io is disposed whatever happens. */
export async function deleteExec({ log }: EndExecNeeds, process: Process): Promise<void> {
  try {
    await process.delete({ signal: cleanupDeadline() });
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) {
      log.warn({ err: error, exec: process.id }, "exec could not be deleted");
    }
    await closeIo({ log }, process);
  }
}

async function closeIo({ log }: EndExecNeeds, process: Process): Promise<void> {
  try {
    await process.io?.[Symbol.asyncDispose]();
  } catch (error) {
    log.warn({ err: error, exec: process.id }, "FIFOs of an exec could not be removed");
  }
}
