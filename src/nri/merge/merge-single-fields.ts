// SPDX-License-Identifier: Apache-2.0
import type { LinuxContainerAdjustment, LinuxRdt } from "../messages.ts";
import type { FieldClaims } from "./field-claims.ts";
import type { SingleFields } from "./merged-adjustment.ts";

const owned = [
  ["oomScoreAdj", "OomScoreAdj"],
  ["ioPriority", "IoPriority"],
  ["seccompPolicy", "SeccompPolicy"],
  ["scheduler", "LinuxSched"],
  ["memoryPolicy", "MemoryPolicy"],
] as const;

const rdtFields = [
  ["closId", "RdtClosID"],
  ["schemata", "RdtSchemata"],
  ["enableMonitoring", "RdtEnableMonitoring"],
] as const;

/** The fields that are one value, with those that one plugin gives. */
export function mergeSingleFields(
  merged: SingleFields,
  adjust: LinuxContainerAdjustment,
  { plugin, claims }: { readonly plugin: string; readonly claims: FieldClaims },
): SingleFields {
  const given = owned.filter(([name]) => adjust[name] !== null);
  for (const [, field] of given) claims.claim(plugin, field);
  if (adjust.cgroupsPath !== "") claims.claim(plugin, "CgroupsPath");
  return {
    ...merged,
    ...Object.fromEntries(given.map(([name]) => [name, adjust[name]])),
    cgroupsPath: adjust.cgroupsPath === "" ? merged.cgroupsPath : adjust.cgroupsPath,
    rdt: adjust.rdt === null ? merged.rdt : mergeRdt(merged.rdt, adjust.rdt, { plugin, claims }),
  };
}

/** A removal frees what others have set, and stays: it also clears what the container had before any plugin. */
function mergeRdt(
  merged: LinuxRdt | null,
  given: LinuxRdt,
  { plugin, claims }: { readonly plugin: string; readonly claims: FieldClaims },
): LinuxRdt | null {
  if (given.remove) for (const [, field] of rdtFields) claims.free(plugin, field);
  const before = given.remove || merged === null ? noRdt : merged;
  const set = rdtFields.filter(([name]) => given[name] !== null);
  for (const [, field] of set) claims.claim(plugin, field);
  if (!given.remove && set.length === 0) return merged;
  const values = Object.fromEntries(set.map(([name]) => [name, given[name]]));
  return { ...before, ...values, remove: before.remove || given.remove };
}

const noRdt: LinuxRdt = { closId: null, schemata: null, enableMonitoring: null, remove: false };
