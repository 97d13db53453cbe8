// SPDX-License-Identifier: Apache-2.0
import { stringify } from "smol-toml";
import type { Config } from "./config.ts";
import { type Field, type NamedTables, type Section, sections } from "./sections.ts";

type Table = Readonly<Record<string, unknown>>;

/**
 * A whole configuration as TOML that loads back to the same one. `comments` puts each key's
 * explanation above it, as `berthd config default` shows it.
 */
export function renderConfig(config: Config, options: { readonly comments: boolean }): string {
  const blocks: string[] = [];
  for (const section of sections) {
    const table = (
      section.key === "" ? config : (config as unknown as Record<string, Table>)[section.key]
    ) as Table;
    const lines = section.key === "" ? [] : [`[${section.key}]`];
    if (options.comments && section.key !== "") lines.unshift(...comment(section.doc));
    lines.push(...renderFields(section.fields, table, options.comments));
    blocks.push(lines.join("\n"));
    blocks.push(...renderParts(section, table, options.comments));
    if (section.tables === undefined) continue;
    blocks.push(...renderTables(section.key, section.tables, table, options.comments));
  }
  return `${blocks.join("\n\n")}\n`;
}

/** `[nri.default_validator]`: the tables of fixed keys inside one. */
function renderParts({ key, fields }: Section, of: Table, comments: boolean): string[] {
  return fields.flatMap((field) => {
    if (field.parts === undefined) return [];
    const lines = comments ? comment(field.doc) : [];
    lines.push(`[${key}.${field.key}]`);
    return [
      [...lines, ...renderFields(field.parts, of[field.property] as Table, comments)].join("\n"),
    ];
  });
}

function renderTables(
  section: string,
  tables: NamedTables,
  of: Table,
  comments: boolean,
): string[] {
  const named = Object.entries(of[tables.key] as Record<string, Table>);
  return named.map(([name, table], index) => {
    const explained = comments && index === 0;
    const lines = explained ? comment(tables.doc) : [];
    lines.push(`[${section}.${tables.key}.${tomlKey(name)}]`);
    lines.push(...renderFields(tables.fields, table, explained));
    if (tables.rest !== undefined) lines.push(...renderRest(table[tables.rest] as Table));
    return lines.join("\n");
  });
}

function renderRest(settings: Table): string[] {
  return Object.entries(settings).map(([key, value]) => `${tomlKey(key)} = ${tomlValue(value)}`);
}

function renderFields(fields: readonly Field[], table: Table, comments: boolean): string[] {
  return fields.flatMap((field) => {
    if (field.parts !== undefined) return []; // a block of its own
    const line = `${field.key} = ${tomlValue(field.write(table[field.property]))}`;
    return comments ? [...comment(field.doc), line] : [line];
  });
}

/** One value as TOML writes it on one line; tables inline. */
export function tomlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(", ")}]`;
  if (typeof value === "object" && value !== null && !(value instanceof Date)) {
    const parts = Object.entries(value).map(
      ([key, part]) => `${tomlKey(key)} = ${tomlValue(part)}`,
    );
    return parts.length === 0 ? "{}" : `{ ${parts.join(", ")} }`;
  }
  return stringify({ v: value }).slice("v = ".length).trimEnd();
}

function tomlKey(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}

function comment(text: string): string[] {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > 98 && line !== "#") {
      lines.push(line);
      line = "#";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
