// SPDX-License-Identifier: Apache-2.0
import { deadline } from "../base/deadline.ts";
import { toFault } from "../base/errors.ts";
import { findLeftovers } from "./leftovers/find-leftovers.ts";
import type { Patient } from "./patient.ts";

/** Of one thing: ending the processes of a container may take a while. */
const removalMs = 60_000;

/**
 * Removes what provably is ours and belongs to nothing, with a line for each. Nothing is touched that another runtime may
 * have made, or that is younger than a minute.
 */
export async function fixLeftovers(
  patient: Patient,
  tell: (line: string) => void,
  nowMs = Date.now(),
): Promise<void> {
  if (!patient.host.isOurs) {
    tell("nothing is removed: --fix is for the node that it runs on, without --host");
    return;
  }
  const { leftovers, reason } = await findLeftovers(patient, nowMs);
  if (reason !== "") tell(`nothing is removed: ${reason}`);
  for (const { what, remove } of leftovers) {
    if (remove === undefined) continue;
    try {
      using limit = deadline(removalMs, "removing it");
      await remove(limit);
      tell(`removed ${what}`);
    } catch (error) {
      tell(`not removed ${what}: ${toFault(error).message}`);
    }
  }
}
