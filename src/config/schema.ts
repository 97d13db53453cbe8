// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fault } from "../base/errors.ts";
import { shortened } from "../base/shortened.ts";
import { type Field, type NamedTables, sections } from "./sections.ts";
import { suggestKey } from "./suggest-key.ts";

/** One file's worth of settings: keys by their Config path, absent where the file is silent. */
export type Fragment = Readonly<Record<string, unknown>>;

/** Of all faults together: they end in logs, and in answers to a reload. */
export const longestMessage = 4000;

type Entry = Pick<Field, "key" | "schema">;

function objectOf(fields: readonly Entry[], more: Record<string, z.ZodType> = {}): z.ZodType {
  return z.strictObject({ ...shapeOf(fields), ...more }, { error: tableWanted });
}

function shapeOf(fields: readonly Entry[]): Record<string, z.ZodType> {
  return Object.fromEntries(fields.map((field) => [field.key, field.schema.optional()]));
}

/** What one of the tables has. All keys may be missing, so that the others' schemas need not be made. */
function presentIn<E extends { readonly key: string }>(
  fields: readonly E[],
  documents: readonly unknown[],
): E[] {
  return fields.filter(({ key }) =>
    documents.some((one) => typeof one === "object" && one !== null && Object.hasOwn(one, key)),
  );
}

function partOf(document: unknown, key: string): unknown {
  return presentIn([{ key }], [document]).length === 0
    ? undefined
    : Reflect.get(Object(document), key);
}

/** The values of a table; none of what is no table. */
function tableOf(document: unknown): readonly unknown[] {
  return typeof document === "object" && document !== null ? Object.values(document) : [];
}

function tableWanted(issue: { readonly code?: string }): string | undefined {
  return issue.code === "invalid_type" ? "expected a table" : undefined;
}

function tablesOf({ noun, fields, rest }: NamedTables, document: unknown): z.ZodType {
  const name = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/, {
    error: `expected a ${noun} name of letters, digits, "-", "." and "_"`,
  });
  const present = presentIn(fields, tableOf(document));
  const table =
    rest === undefined
      ? objectOf(present)
      : z.looseObject(shapeOf(present), { error: tableWanted });
  return z.record(name, table).optional();
}

/** Reads that document as one of all keys would. */
function schemaFor(document: unknown): z.ZodType {
  const all: Record<string, z.ZodType> = {};
  let top: readonly Entry[] = [];
  for (const { key, fields, retired, tables } of sections) {
    const table = key === "" ? document : partOf(document, key);
    if (table === undefined) continue;
    const entries = [
      ...presentIn(fields, [table]),
      ...presentIn(
        retired.map(({ name, kind }) => ({ key: name, kind })),
        [table],
      ).map((one) => ({ key: one.key, schema: one.kind.schema })),
    ];
    if (key === "") top = entries;
    else {
      const inner = tables && partOf(table, tables.key);
      const named =
        tables === undefined || inner === undefined
          ? {}
          : { [tables.key]: tablesOf(tables, inner) };
      all[key] = objectOf(entries, named).optional();
    }
  }
  return objectOf(top, all);
}

/**
 * Checks one parsed TOML document and turns it into Config's names and units. Every fault in it is
 * reported at once, each with its key and `origin` (a file name, or "the command line").
 * INVALID_ARGUMENT when there is one.
 */
export function readFragment(document: unknown, origin: string): Fragment {
  const { fragment, faults } = readSound(document, origin);
  if (faults.length > 0)
    throw fault("INVALID_ARGUMENT", shortened(faults.join("\n"), longestMessage));
  return fragment;
}

export interface SoundParts {
  readonly fragment: Fragment;
  /** A line for each. */
  readonly faults: readonly string[];
  /** Tables, and keys above all tables, that have faults in them: they are not in the fragment. */
  readonly leftOut: readonly string[];
}

/** The same, with what is sound of a document that has faults. */
export function readSound(document: unknown, origin: string): SoundParts {
  const result = schemaFor(document).safeParse(document);
  if (result.success)
    return { fragment: rename(result.data as Record<string, unknown>), faults: [], leftOut: [] };
  const { issues } = result.error;
  const faults = issues.flatMap((issue) => describeIssue(issue, origin));
  const leftOut = issues.flatMap((issue) => {
    const [table] = issue.path;
    if (table !== undefined) return [String(table)];
    return issue.code === "unrecognized_keys" ? issue.keys : [];
  });
  const rest = Object.entries(document as object).filter(([key]) => !leftOut.includes(key));
  const sound = Object.fromEntries(rest);
  const again = schemaFor(sound).safeParse(sound);
  const fragment = again.success ? rename(again.data as Record<string, unknown>) : {};
  return { fragment, faults, leftOut };
}

/** A warning for each key of a valid document that nothing reads any more. */
export function retiredIn(document: unknown, origin: string): string[] {
  const data = document as Readonly<Record<string, object | undefined>>;
  return sections.flatMap(({ key, retired }) => {
    const table = key === "" ? data : (data[key] ?? {});
    return retired
      .filter(({ name }) => Object.hasOwn(table, name))
      .map(({ name, instead }) => {
        const full = key === "" ? name : `${key}.${name}`;
        return `"${full}" is no key any more and can go: ${instead} (in ${origin})`;
      });
  });
}

function describeIssue(issue: z.core.$ZodIssue, origin: string): string[] {
  const at = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const guess = suggestKey([...at, key]);
      const hint = guess === undefined ? "" : ` (did you mean "${guess}"?)`;
      return `unknown key "${[...at, key].join(".")}" in ${origin}${hint}`;
    });
  }
  if (issue.code === "invalid_key") {
    const reason = issue.issues[0]?.message ?? "is no valid name";
    return [`bad key "${at.join(".")}" in ${origin}: ${reason}`];
  }
  return [`bad value of "${at.join(".")}" in ${origin}: ${issue.message}`];
}

function rename(data: Record<string, unknown>): Fragment {
  const out: Record<string, unknown> = {};
  for (const section of sections) {
    const from =
      section.key === "" ? data : (data[section.key] as Record<string, unknown> | undefined);
    if (from === undefined) continue;
    const to = section.key === "" ? out : ((out[section.key] ??= {}) as Record<string, unknown>);
    renameFields(from, to, section.fields);
    if (section.tables !== undefined) renameTables(from, to, section.tables);
  }
  return out;
}

function renameTables(
  from: Record<string, unknown>,
  to: Record<string, unknown>,
  { key, fields, rest }: NamedTables,
): void {
  const tables = from[key] as Record<string, Record<string, unknown>> | undefined;
  if (tables === undefined) return;
  const own = new Set(fields.map((field) => field.key));
  to[key] = Object.fromEntries(
    Object.entries(tables).map(([name, table]) => {
      const known = renameFields(table, {}, fields);
      const others = Object.entries(table).filter(([one]) => !own.has(one));
      return [name, rest === undefined ? known : { ...known, [rest]: Object.fromEntries(others) }];
    }),
  );
}

function renameFields(
  from: Record<string, unknown>,
  to: Record<string, unknown>,
  fields: readonly Field[],
): Record<string, unknown> {
  for (const field of fields) {
    if (from[field.key] !== undefined) to[field.property] = from[field.key];
  }
  return to;
}
