// SPDX-License-Identifier: Apache-2.0

/** Methods of the protos that are not built yet and answer UNIMPLEMENTED. Who builds the last one deletes this file. */
export const toCome: ReadonlySet<string> = new Set([
  "PullSecurityProfile",
  "ListSecurityProfiles",
  "RemoveSecurityProfile",
]);
