// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fault } from "../base/errors.ts";
import type { Field } from "./field.ts";
import { handlerFields, sections } from "./sections.ts";
import { suggestKey } from "./suggest-key.ts";

/** One file's worth of settings: keys by their Config path, absent where the file is silent. */
export type Fragment = Readonly<Record<string, unknown>>;

const fileSchema = buildFileSchema();

function objectOf(fields: readonly Field[], more: Record<string, z.ZodType> = {}): z.ZodType {
  const own = Object.fromEntries(fields.map((field) => [field.key, field.schema.optional()]));
  return z.strictObject(
    { ...own, ...more },
    { error: (issue) => (issue.code === "invalid_type" ? "expected a table" : undefined) },
  );
}

function buildFileSchema(): z.ZodType {
  const tables: Record<string, z.ZodType> = {};
  let top: readonly Field[] = [];
  for (const section of sections) {
    if (section.key === "") top = section.fields;
    else if (section.key === "runtime") {
      const name = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/, {
        error: 'expected a handler name of letters, digits, "-", "." and "_"',
      });
      const handlers = z.record(name, objectOf(handlerFields)).optional();
      tables["runtime"] = objectOf(section.fields, { handlers }).optional();
    } else tables[section.key] = objectOf(section.fields).optional();
  }
  return objectOf(top, tables);
}

/**
 * Checks one parsed TOML document and turns it into Config's names and units. Every fault in it is
 * reported at once, each with its key and `origin` (a file name, or "the command line").
 * INVALID_ARGUMENT when there is one.
 */
export function readFragment(document: unknown, origin: string): Fragment {
  const result = fileSchema.safeParse(document);
  if (!result.success) {
    const lines = result.error.issues.flatMap((issue) => describeIssue(issue, origin));
    throw fault("INVALID_ARGUMENT", lines.join("\n"));
  }
  return rename(result.data as Record<string, unknown>);
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
    const to =
      section.key === "" ? out : ((out[section.property] ??= {}) as Record<string, unknown>);
    renameFields(from, to, section.fields);
    if (section.key === "runtime" && from["handlers"] !== undefined) {
      to["handlers"] = Object.fromEntries(
        Object.entries(from["handlers"] as Record<string, Record<string, unknown>>).map(
          ([name, table]) => [name, renameFields(table, {}, handlerFields)],
        ),
      );
    }
  }
  return out;
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
