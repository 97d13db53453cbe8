// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Keys, Values } from "./key.ts";
import { type Kind, once } from "./kinds.ts";

/** A table of fixed keys inside a table, `[nri.default_validator]`. What a file leaves out stays as it was. */
export function subtable<const K extends Keys>(parts: K): Kind<Values<K>> & { readonly parts: K } {
  const entries = Object.entries(parts);
  const schema = once(() => {
    const shape = Object.fromEntries(
      entries.map(([, { name, kind }]) => [name, kind.schema.optional()]),
    );
    const read = z
      .strictObject(shape, {
        error: ({ code }) => (code === "invalid_type" ? "expected a table" : undefined),
      })
      .transform((table) => known(entries.map(([property, { name }]) => [property, table[name]])));
    return read as unknown as z.ZodType<Values<K>>;
  });
  return {
    name: "table",
    get schema() {
      return schema();
    },
    write: (value) => {
      const table = value as Readonly<Record<string, unknown>>;
      return known(
        entries.map(([property, { name, kind }]) => [
          name,
          table[property] === undefined ? undefined : kind.write(table[property]),
        ]),
      );
    },
    parts,
  };
}

/** What all keys of a subtable are where no file says it. */
export function defaultsOf<K extends Keys>(parts: K): Values<K> {
  const values = Object.entries(parts).map(([property, one]) => [property, one.default]);
  return Object.fromEntries(values) as Values<K>;
}

function known(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}
