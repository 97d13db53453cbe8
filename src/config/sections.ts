// SPDX-License-Identifier: Apache-2.0
import type { z } from "zod";
import type { Decision, Keys, Named, Retired, Table } from "./key.ts";
import { daemon } from "./keys/daemon.ts";
import { tables } from "./tables.ts";

/** One key, as those see it that walk all of them. */
export interface Field {
  /** Name in the file, snake_case. */
  readonly key: string;
  /** Name in Config. */
  readonly property: string;
  readonly kind: string;
  readonly schema: z.ZodType;
  readonly write: (value: unknown) => unknown;
  readonly change: Decision;
  readonly doc: string;
  /** Of a table of fixed keys: those. */
  readonly parts?: readonly Field[];
}

/** One table of the TOML file. The first one, with key "", holds the keys above all tables. */
export interface Section {
  /** In the file and in Config. */
  readonly key: string;
  readonly doc: string;
  readonly fields: readonly Field[];
  /** What its keys are where no file says it, by their names in Config. */
  readonly defaults: object;
  readonly retired: readonly Retired[];
  /** Tables of free names inside it, `[runtime.handlers.NAME]`. */
  readonly tables?: NamedTables;
}

export interface NamedTables {
  /** In the file and in the section's part of Config: an object by name. */
  readonly key: string;
  /** What a name is, for messages. */
  readonly noun: string;
  readonly doc: string;
  readonly change: Decision;
  readonly fields: readonly Field[];
  /** One table in which nothing is set. */
  readonly defaults: object;
  /** Property that takes the keys which are not among `fields`; without it they are errors. */
  readonly rest?: string;
}

/** Every key of the configuration file, in the order the reference and `berthd config dump` show them. */
export const sections: readonly Section[] = [
  section("", daemon),
  ...Object.entries(tables).map(([key, table]) => section(key, table)),
];

function section(key: string, { doc, keys, named, retired = [] }: Table): Section {
  const own = { key, doc, fields: fieldsOf(keys), retired };
  const defaults = defaultsOf(keys);
  if (named === undefined) return { ...own, defaults };
  const inside = namedTables(named);
  const present = Object.fromEntries(named.present.map((name) => [name, inside.defaults]));
  return { ...own, defaults: { ...defaults, [named.name]: present }, tables: inside };
}

function namedTables({ name, noun, doc, change, keys, rest }: Named): NamedTables {
  const own = { key: name, noun, doc, change, fields: fieldsOf(keys) };
  const defaults = defaultsOf(keys);
  if (rest === undefined) return { ...own, defaults };
  return { ...own, defaults: { ...defaults, [rest]: {} }, rest };
}

function fieldsOf(keys: Keys): Field[] {
  return Object.entries(keys).map(([property, { name, kind, change, doc }]) => ({
    key: name,
    property,
    kind: kind.name,
    get schema() {
      return kind.schema;
    },
    write: (value) => kind.write(value),
    change,
    doc,
    ...(kind.parts && { parts: fieldsOf(kind.parts) }),
  }));
}

function defaultsOf(keys: Keys): object {
  return Object.fromEntries(Object.entries(keys).map(([property, one]) => [property, one.default]));
}
