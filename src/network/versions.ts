// SPDX-License-Identifier: Apache-2.0

/** Versions of the CNI specification spoken here, oldest first. */
export const cniVersions: readonly string[] = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
  "1.1.0",
];

/** What a configuration without `cniVersion` means (CNI specification, section 1). */
export const unversioned = "0.1.0";

/** Which version of the specification brought what. */
const since = {
  /** Chains of plugins, each given the result of the one before. */
  chains: "0.3.0",
  /** The verb CHECK, and `prevResult` for DEL. */
  CHECK: "0.4.0",
  STATUS: "1.1.0",
  GC: "1.1.0",
} as const;

/** True when plugins called with this version know the verb, or chains. */
export function hasVerb(cniVersion: string, part: keyof typeof since): boolean {
  return cniVersions.indexOf(cniVersion) >= cniVersions.indexOf(since[part]);
}
