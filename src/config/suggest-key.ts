// SPDX-License-Identifier: Apache-2.0
import { nearestName } from "../base/nearest-name.ts";
import { sections } from "./sections.ts";

/**
 * What the writer of an unknown key probably meant: a sibling with a similar name, else the same
 * name in another table (in full). Undefined when nothing is near.
 */
export function suggestKey(path: readonly string[]): string | undefined {
  const wrong = path.at(-1) ?? "";
  const parent = path.slice(0, -1);
  const near = nearestName(wrong, siblings(parent));
  if (near !== undefined) return near;
  return elsewhere(wrong, parent.join("."));
}

function siblings(parent: readonly string[]): string[] {
  const tables = sections.find(({ key }) => key === parent[0])?.tables;
  if (parent.length === 3 && parent[1] === tables?.key) {
    return tables?.fields.map((field) => field.key) ?? [];
  }
  const [table, inner] = parent;
  const within = sections.find(({ key }) => key === table)?.fields;
  const parts = within?.find(({ key }) => key === inner)?.parts;
  if (parent.length === 2 && parts !== undefined) return parts.map(({ key }) => key);
  const section = sections.find(({ key }) => key === parent.join("."));
  const own = section?.fields.map((field) => field.key) ?? [];
  if (parent.length === 0)
    return [...own, ...sections.map(({ key }) => key).filter((key) => key !== "")];
  return section?.tables ? [...own, section.tables.key] : own;
}

function elsewhere(wrong: string, parent: string): string | undefined {
  const places = sections
    .filter(({ key, fields }) => key !== parent && fields.some((field) => field.key === wrong))
    .map(({ key }) => (key === "" ? wrong : `${key}.${wrong}`));
  for (const { key, tables } of sections) {
    if (tables?.fields.some((field) => field.key === wrong)) {
      places.push(`${key}.${tables.key}.NAME.${wrong}`);
    }
  }
  return places.length === 1 ? places[0] : undefined;
}
