// SPDX-License-Identifier: Apache-2.0
import { fault } from "../errors.ts";

/** `size` ids from `containerID` on are the host's from `hostID` on; as the OCI spec writes it. */
export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** The mappings of a user namespace. */
export interface IdMappings {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
}

/** What the kernel shows for an id that is not mapped. */
const overflowId = 65_534;

/** The host's id for one inside; 65534, which is nobody's there, for one that is not mapped. */
export function hostId(mappings: readonly IdMapping[], id: number): number {
  const found = mappings.find((it) => id >= it.containerID && id < it.containerID + it.size);
  return found === undefined ? overflowId : found.hostID + id - found.containerID;
}

/** `CONTAINER:HOST:SIZE`, several with commas between: the form of snapshots' labels and mounts' options. */
export function formatMappings(mappings: readonly IdMapping[]): string {
  return mappings
    .map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`)
    .join(",");
}

/** The reverse of formatMappings. INVALID_ARGUMENT for anything else. */
export function parseMappings(text: string): IdMapping[] {
  return text.split(",").map((part) => {
    const numbers = part.split(":").map((it) => (/^\d{1,10}$/.test(it) ? Number(it) : Number.NaN));
    const [containerID = Number.NaN, hostID = Number.NaN, size = Number.NaN] = numbers;
    if (numbers.length !== 3 || numbers.some((it) => !(it < 2 ** 32)) || size === 0) {
      throw fault("INVALID_ARGUMENT", `"${text}" is no mapping of ids, like 0:65536:65536`);
    }
    return { containerID, hostID, size };
  });
}
