// SPDX-License-Identifier: Apache-2.0
import type { Patient } from "../patient.ts";
import { leftFolders } from "./folders.ts";
import { askKnown } from "./known.ts";
import type { Leftover } from "./leftover.ts";
import { leftNetworks } from "./networks.ts";
import { scanProcesses } from "./process-scan.ts";
import { leftShims } from "./processes.ts";
import { strangerIn } from "./strangers.ts";

export interface Search {
  readonly leftovers: readonly Leftover[];
  /** Why nobody can tell what is left; "" where it can be told. */
  readonly reason: string;
}

/**
 * What belongs to nothing that berthd knows. It is asked before and after the search, so that what comes or goes meanwhile
 * is known; in the order in which things are removed: processes first, then what they hold, DEL before what it goes by.
 */
export async function findLeftovers(patient: Patient, nowMs = Date.now()): Promise<Search> {
  const before = await askKnown(patient);
  if ("reason" in before) return { leftovers: [], reason: before.reason };
  // What runs by then is known to the second answer.
  const scan = await scanProcesses(patient);
  const after = await askKnown(patient);
  if ("reason" in after) return { leftovers: [], reason: after.reason };
  const known = { ...after, ids: new Set([...before.ids, ...after.ids]) };
  const stranger = await strangerIn(patient, known, scan);
  if (stranger !== "") return { leftovers: [], reason: stranger };
  const ground = { patient, known, scan, nowMs };
  const leftovers = [
    ...(await leftShims(ground)),
    ...(await leftFolders(ground)),
    ...(await leftNetworks(ground)),
  ];
  return { leftovers, reason: "" };
}
