// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import { errnoOf } from "../../../base/errors.ts";
import { invalid, unsupported } from "../../../base/invalid-field.ts";
import { type ClassRequest, requestedClass } from "./requested-class.ts";

/** The kernel's groups of cache and memory bandwidth. The administrator makes them; a class is one. */
export interface RdtGroups {
  /** Names of the groups; undefined where there is no RDT, or its file system is not mounted. */
  list(): Promise<readonly string[] | undefined>;
}

/** Folders of the root group that are not groups. */
const notGroups = new Set(["info", "mon_groups", "mon_data"]);

/** The groups of a mounted resctrl file system. `folder` is another one only in tests. */
export function createRdtGroups(folder = "/sys/fs/resctrl"): RdtGroups {
  return {
    list: async () => {
      try {
        const entries = await readdir(folder, { withFileTypes: true });
        // Kernels with RDT have the folder; these files are there once it is mounted.
        if (!entries.some(({ name }) => name === "schemata")) return undefined;
        return entries
          .filter((entry) => entry.isDirectory() && !notGroups.has(entry.name))
          .map(({ name }) => name);
      } catch (error) {
        if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
        throw error;
      }
    },
  };
}

/**
 * The group for `linux.intelRdt.closID`; undefined for none. A class that is asked for and cannot be
 * had is refused: silently not given, it would be a noisy neighbour nobody finds. Where there is no RDT
 * at all, `ignoreNotEnabled` lets the container run without.
 */
export async function rdtGroup(
  request: ClassRequest,
  groups: RdtGroups,
  { ignoreNotEnabled }: { readonly ignoreNotEnabled: boolean },
): Promise<string | undefined> {
  const wanted = requestedClass("rdt", request);
  if (wanted === undefined) return undefined;
  const field = `annotations["${wanted.annotation}"]`;
  const known = await groups.list();
  if (known === undefined) {
    if (ignoreNotEnabled) return undefined;
    throw unsupported(
      field,
      `RDT class "${wanted.name}" cannot be given: this host has no RDT, or /sys/fs/resctrl is not mounted`,
    );
  }
  if (known.includes(wanted.name)) return wanted.name;
  const there = known.length === 0 ? "there are none" : `there are ${known.join(", ")}`;
  throw invalid(field, `there is no RDT class "${wanted.name}" in /sys/fs/resctrl: ${there}`);
}
