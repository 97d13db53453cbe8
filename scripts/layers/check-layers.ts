// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { folderCycles } from "./folder-cycles.ts";
import type { Module } from "./imports.ts";
import type { Layer } from "./layers.ts";

export interface LayerRules {
  readonly layers: readonly Layer[];
  readonly libraries: Readonly<Record<string, readonly string[]>>;
}

/** Known to all, and so in nobody's list. */
const forAll = new Set(["base", "gen"]);
/** Who may import the modules that lie right in `src`. */
const starters = new Set(["cli"]);

/** What is wrong with the table or against it, a sentence each. */
export function layerFaults(modules: readonly Module[], rules: LayerRules): string[] {
  const { layers } = rules;
  const depth = new Map(layers.map(({ folder }, at) => [folder, at]));
  const upward = layers.flatMap(({ folder, may }, at) =>
    may
      .filter((other) => (depth.get(other) ?? -1) <= at)
      .map((other) => `the table lets ${folder} import ${other}, which does not stand below it`),
  );
  const unlisted = [...new Set(modules.map(({ file }) => folderOf(file)))]
    .filter((folder) => folder !== undefined && !depth.has(folder))
    .map((folder) => `src/${folder} is not in the table of scripts/layers/layers.ts`);
  const imports = modules.flatMap(({ file, imports: targets }) =>
    targets.flatMap((target) => importFault(file, target, rules) ?? []),
  );
  return [...upward, ...unlisted, ...imports, ...folderCycles(modules)];
}

function importFault(file: string, target: string, rules: LayerRules): string | undefined {
  const homes = rules.libraries[target];
  if (homes !== undefined && !homes.some((home) => file.startsWith(`${home}/`))) {
    return `${file} imports ${target}, which belongs in ${homes.join(", ")}`;
  }
  const from = folderOf(file);
  if (from === undefined || path.dirname(target).split("/")[0] !== "src") return undefined;
  const to = folderOf(target);
  if (to === undefined) {
    return starters.has(from) ? undefined : `${file} imports ${target}, which starts the daemon`;
  }
  if (to === from) return undefined;
  const layer = rules.layers.find(({ folder }) => folder === from);
  if (layer === undefined || layer.may.includes(to)) return undefined;
  if (forAll.has(to) && !forAll.has(from)) return undefined;
  return `${file} imports ${target}: ${from} may not know ${to}; hand it in through a port`;
}

/** The folder of `src` that a file is in; undefined for a file right in `src`. */
function folderOf(file: string): string | undefined {
  const [, folder, rest] = file.split("/");
  return rest === undefined ? undefined : folder;
}
