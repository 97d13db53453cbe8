// SPDX-License-Identifier: Apache-2.0
import { fieldNumbers } from "../../nri/merge/fields.ts";
import type { OwningPlugins } from "../../nri/messages.ts";
import type { SpecChange } from "../spec-review.ts";

const fields: ReadonlyMap<number, string> = new Map(
  Object.entries(fieldNumbers).map(([name, number]) => [number, name]),
);

/** What is kept of one plugin's changes: a record lies in memory, and a plugin may set as many keys as it likes. */
const keptFields = 50;
const keptKeyChars = 100;

/** Who has set what of a container, as its record keeps it. */
export function changesOf(owners: OwningPlugins | undefined, id: string): SpecChange[] {
  const own = owners?.owners[id];
  if (!own) return [];
  const byPlugin = new Map<string, string[]>();
  // "-10-pinning" is who has taken something away.
  const add = (owner: string, name: string): void => {
    const [plugin, field] = owner.startsWith("-")
      ? [owner.slice(1), `${name} removed`]
      : [owner, name];
    const known = byPlugin.get(plugin);
    if (known) known.push(field);
    else byPlugin.set(plugin, [field]);
  };
  for (const [number, plugin] of Object.entries(own.simple)) add(plugin, nameOf(number));
  for (const [number, { owners: byKey }] of Object.entries(own.compound)) {
    for (const [key, plugin] of Object.entries(byKey)) {
      add(plugin, `${nameOf(number)} ${key.slice(0, keptKeyChars)}`);
    }
  }
  return [...byPlugin].map(([by, all]) => ({ by, fields: bounded(all) }));
}

function nameOf(number: string): string {
  return fields.get(Number(number)) ?? `field ${number}`;
}

function bounded(all: readonly string[]): readonly string[] {
  if (all.length <= keptFields) return all;
  return [...all.slice(0, keptFields), `and ${all.length - keptFields} more`];
}
