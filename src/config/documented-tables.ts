// SPDX-License-Identifier: Apache-2.0
import { type Field, sections } from "./sections.ts";

/** One table of the configuration file as its pages explain it. */
export interface DocumentedTable {
  /** `grpc`, `nri.default_validator`, `runtime.handlers.NAME`; "" for the keys above all tables. */
  readonly name: string;
  readonly doc: string;
  readonly fields: readonly Field[];
  /** What its keys are where no file says it, by their names in Config. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

/** Every table, those inside another one behind it. */
export function documentedTables(): DocumentedTable[] {
  return sections.flatMap(({ key, doc, fields, defaults, tables }) => {
    const own = defaults as DocumentedTable["defaults"];
    const inside = fields.flatMap((field) =>
      field.parts === undefined
        ? []
        : [
            {
              name: `${key}.${field.key}`,
              doc: field.doc,
              fields: field.parts,
              defaults: own[field.property] as DocumentedTable["defaults"],
            },
          ],
    );
    const named = tables && {
      name: `${key}.${tables.key}.NAME`,
      doc: tables.doc,
      fields: tables.fields,
      defaults: tables.defaults as DocumentedTable["defaults"],
    };
    return [{ name: key, doc, fields, defaults: own }, ...inside, ...(named ? [named] : [])];
  });
}
