// SPDX-License-Identifier: Apache-2.0

import { invalid, unsupported } from "../../base/invalid-field.ts";
import type { Capability } from "../../gen/cri.gen.ts";
import { knownCapabilities } from "../../oci/capabilities.ts";

const field = "linux.security_context.capabilities";

/**
 * The capability set of a container. ALL is applied before single names, so `add ALL, drop KILL`
 * and `drop ALL, add CHOWN` mean what they say. Names are case-insensitive, with or without CAP_.
 * `initial` is the base spec's set; `available` is what the kernel and the daemon have.
 */
export function resolveCapabilities(
  requested: Capability | null,
  initial: readonly string[],
  available: readonly string[],
): string[] {
  const add = (requested?.addCapabilities ?? []).map((name) => parse(name, "add_capabilities"));
  const drop = (requested?.dropCapabilities ?? []).map((name) => parse(name, "drop_capabilities"));
  // Accepted and without effect, as in containerd: ambient sets stay empty.
  for (const name of requested?.addAmbientCapabilities ?? [])
    parse(name, "add_ambient_capabilities");
  let set = new Set(initial);
  if (add.includes("ALL")) set = new Set(available);
  if (drop.includes("ALL")) set = new Set();
  for (const name of add) if (name !== "ALL") set.add(name);
  for (const name of drop) if (name !== "ALL") set.delete(name);
  for (const name of add) {
    if (name !== "ALL" && !drop.includes(name) && !available.includes(name)) {
      throw unsupported(`${field}.add_capabilities`, `${name} is not available on this host`);
    }
  }
  return knownCapabilities.filter((name) => set.has(name) && available.includes(name));
}

function parse(name: string, where: string): string {
  const upper = name.toUpperCase();
  if (upper === "ALL") return upper;
  const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!knownCapabilities.includes(full)) {
    throw invalid(`${field}.${where}`, `unknown capability "${name}"`);
  }
  return full;
}
