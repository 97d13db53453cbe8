// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import type { Config } from "./config.ts";
import { tomlValue } from "./render.ts";
import { type Field, type NamedTables, sections } from "./sections.ts";

/** One key in which two configurations differ. A handler or plugin that comes or goes is one change. */
export interface ConfigChange {
  /** As the file has it: `["runtime", "handlers", "kata", "shim"]`. */
  readonly key: readonly string[];
  /** As Config has it. */
  readonly path: readonly string[];
  /** `log.level: "info" → "debug"`. Settings of plugins, which may be secrets, are not shown. */
  readonly text: string;
}

type Table = Readonly<Record<string, unknown>>;

/** Every key whose value differs, in the order of the reference. */
export function diffConfigs(before: Config, after: Config): ConfigChange[] {
  return sections.flatMap((section) => {
    const from = tableOf(before, section.key);
    const to = tableOf(after, section.key);
    const place: Place = {
      key: section.key === "" ? [] : [section.key],
      path: section.key === "" ? [] : [section.key],
    };
    const { tables } = section;
    return [
      ...diffFields(section.fields, place, from, to),
      ...(tables === undefined ? [] : diffTables(tables, place, from, to)),
    ];
  });
}

interface Place {
  readonly key: readonly string[];
  readonly path: readonly string[];
}

function tableOf(config: Config, key: string): Table {
  const all = config as unknown as Table;
  return key === "" ? all : (all[key] as Table);
}

function diffFields(fields: readonly Field[], place: Place, from: Table, to: Table) {
  return fields
    .filter(({ property }) => !isDeepStrictEqual(from[property], to[property]))
    .map(({ key, property, write }) => {
      const [old, now] = [from, to].map((table) => tomlValue(write(table[property])));
      return change(inside(place, key, property), `${old} → ${now}`);
    });
}

function diffTables(tables: NamedTables, place: Place, from: Table, to: Table): ConfigChange[] {
  const [old, now] = [from, to].map((table) => table[tables.key] as Record<string, Table>);
  if (old === undefined || now === undefined) return [];
  const folder = inside(place, tables.key, tables.key);
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  return names.flatMap((name) => {
    const [was, is] = [old[name], now[name]];
    const at = inside(folder, name, name);
    if (was !== undefined && is !== undefined) return diffTable(tables, at, was, is);
    if (is !== undefined) return [change(at, `none → ${summary(tables, is)}`)];
    return [change(at, `${summary(tables, was ?? {})} → none`)];
  });
}

function diffTable(tables: NamedTables, place: Place, was: Table, is: Table): ConfigChange[] {
  const known = diffFields(tables.fields, place, was, is);
  const { rest } = tables;
  if (rest === undefined) return known;
  const [old, now] = [was[rest] as Table, is[rest] as Table];
  const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  const free = keys
    .filter((key) => !isDeepStrictEqual(old[key], now[key]))
    .map((key) => {
      const at = { key: [...place.key, key], path: [...place.path, rest, key] };
      const how = !(key in old) ? "added" : key in now ? "changed" : "removed";
      return change(at, `${how}, not shown`);
    });
  return [...known, ...free];
}

/** What a table says beyond its defaults. */
function summary({ fields, defaults }: NamedTables, table: Table): string {
  const standard = defaults as Table;
  const own = fields.filter(
    ({ property }) => !isDeepStrictEqual(table[property], standard[property]),
  );
  const parts = own.map(({ key, property, write }) => [key, write(table[property])] as const);
  return tomlValue(Object.fromEntries(parts));
}

function inside({ key, path }: Place, name: string, property: string): Place {
  return { key: [...key, name], path: [...path, property] };
}

function change(place: Place, text: string): ConfigChange {
  return { ...place, text: `${keyText(place.key)}: ${text}` };
}

/** A key as TOML spells it; a name with a dot in it is quoted. */
export function keyText(key: readonly string[]): string {
  return key.map((part) => (/^[\w-]+$/.test(part) ? part : JSON.stringify(part))).join(".");
}
