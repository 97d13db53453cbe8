// SPDX-License-Identifier: Apache-2.0
import type { Patient } from "../patient.ts";
import { leftFolders } from "./folders.ts";
import { askKnown } from "./known.ts";
import type { Leftover } from "./leftover.ts";
import { leftNetworks } from "./networks.ts";
import { leftShims } from "./processes.ts";

export interface Search {
  readonly leftovers: readonly Leftover[];
  /** Why nobody can tell what is left; "" where it can be told. */
  readonly reason: string;
}

/**
 * What belongs to nothing that berthd knows. It is asked before and after the search, so that what comes or goes meanwhile
 * is known; in the order in which things are removed: processes first, then what they hold.
 */
export async function findLeftovers(patient: Patient, nowMs = Date.now()): Promise<Search> {
  const before = await askKnown(patient);
  if ("reason" in before) return { leftovers: [], reason: before.reason };
  const after = await askKnown(patient);
  if ("reason" in after) return { leftovers: [], reason: after.reason };
  const known = { ...after, ids: new Set([...before.ids, ...after.ids]) };
  const ground = { patient, known, nowMs };
  const leftovers = [
    ...(await leftShims(ground)),
    ...(await leftNetworks(ground)),
    ...(await leftFolders(ground)),
  ];
  return { leftovers, reason: "" };
}
