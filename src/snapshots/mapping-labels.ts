// SPDX-License-Identifier: Apache-2.0
import { formatMappings, type IdMappings, parseMappings } from "../base/os/id-mapping.ts";

/** Labels by which containerd's clients ask for a snapshot whose files are a user namespace's. */
const uidLabel = "containerd.io/snapshot/uidmapping";
const gidLabel = "containerd.io/snapshot/gidmapping";

/** Says that a snapshot's own files have the mapped owners, so that its mounts need not show them. */
export const copiedOwnersLabel = "io.berth.snapshot/owners-copied";

/** The labels of a snapshot for a user namespace with these ids; none without. */
export function mappingLabels(mappings: IdMappings | undefined): Record<string, string> {
  if (mappings === undefined) return {};
  return { [uidLabel]: formatMappings(mappings.uids), [gidLabel]: formatMappings(mappings.gids) };
}

/** The mappings that are left for a snapshot's mounts to show. INVALID_ARGUMENT for what is none. */
export function mappingsOf(labels: Readonly<Record<string, string>>): IdMappings | undefined {
  const { [uidLabel]: uids, [gidLabel]: gids } = labels;
  if (uids === undefined || gids === undefined) return undefined;
  if (labels[copiedOwnersLabel] !== undefined) return undefined;
  return { uids: parseMappings(uids), gids: parseMappings(gids) };
}
