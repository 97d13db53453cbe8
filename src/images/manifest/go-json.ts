// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { fault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";

// Documents are written by many tools and read by one in practice: Go's encoding/json. What it takes is taken here. The
// names of fields are in any case, unknown fields are passed over, and null stands for the empty value of its place.

/** Parses a document. FAILED_PRECONDITION when it is not JSON. */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw fault("FAILED_PRECONDITION", `${what} is not JSON`, { cause: error });
  }
}

/**
 * A field of an object by its name in any case; undefined for one that is absent, null, or of something that is no
 * object. Of several that differ in case alone the last counts, which is not always Go's: see `namesTwice`.
 */
export function fieldOf(value: unknown, name: string): unknown {
  return fieldsOf(value, [name])[name];
}

/** Several fields, as `fieldOf` finds each, in one pass. */
export function fieldsOf(value: unknown, names: readonly string[]): Fields {
  return isRecord(value) ? fieldReader(names)(value) : {};
}

/**
 * The first of these fields that an object has more than once, in other cases. Go merges them, and other readers take
 * one: such a document is not the same to all.
 */
export function namesTwice(value: unknown, names: readonly string[]): string | undefined {
  if (!isRecord(value)) return undefined;
  const left = new Map(names.map((name) => [name.toLowerCase(), name]));
  const seen = new Set<string>();
  for (const key in value) {
    const name = left.get(folded(key));
    if (name === undefined) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

/** An object of these fields, which are absent where they are null. null is an object without any. */
export function goObject<Shape extends z.ZodRawShape>(
  shape: Shape,
): z.ZodPreprocess<z.ZodObject<Shape>> {
  const fields = fieldReader(Object.keys(shape));
  const read = (value: unknown): unknown => (isRecord(value) ? fields(value) : (value ?? {}));
  return z.preprocess(read, z.object(shape));
}

/** A list; null, or none at all, is an empty one. */
export function goList<Item extends z.ZodType>(
  item: Item,
): z.ZodPrefault<z.ZodPreprocess<z.ZodArray<Item>>> {
  return z.preprocess((value) => value ?? [], z.array(item)).prefault([]);
}

// zod reports every wrong entry, and there may be a million: these report the first.

const texts = z.unknown().transform((value, context): string[] => {
  if (Array.isArray(value) && areTexts(value.entries(), context)) return value.map(textOf);
  if (!Array.isArray(value)) context.addIssue("expected a list");
  return z.NEVER;
});

const textMap = z.unknown().transform((value, context): Record<string, string> => {
  if (isRecord(value) && areTexts(Object.entries(value), context)) {
    return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, textOf(text)]));
  }
  if (!isRecord(value)) context.addIssue("expected an object");
  return z.NEVER;
});

/** A list of texts, empty when it is absent; null among them is "". */
export const goTexts: z.ZodDefault<typeof texts> = texts.default([]);

/** Texts by name, none when it is absent; null among them is "". */
export const goTextMap: z.ZodDefault<typeof textMap> = textMap.default({});

type Fields = Readonly<Record<string, unknown>>;

/** Takes the fields of these names out of an object, but for those that are null. */
function fieldReader(names: readonly string[]): (value: Fields) => Fields {
  const byFolded = new Map(names.map((name) => [folded(name), name]));
  return (value) => {
    const found: Record<string, unknown> = {};
    for (const key in value) {
      const name = byFolded.get(folded(key));
      const member = value[key];
      if (name !== undefined && member !== null && member !== undefined) found[name] = member;
    }
    return found;
  };
}

/** Longer than any field: such a name is not looked at letter by letter. */
const maxFieldChars = 64;

/** As Go folds: ASCII letters, and the two others that fold to one, alone. */
function folded(name: string): string {
  if (name.length > maxFieldChars) return name;
  return name.replaceAll(/[A-Z\u017f\u212a]/g, (letter) =>
    letter === "\u017f" ? "s" : letter === "\u212a" ? "k" : letter.toLowerCase(),
  );
}

function areTexts(
  entries: Iterable<readonly [key: string | number, value: unknown]>,
  context: z.core.$RefinementCtx,
): boolean {
  for (const [key, value] of entries) {
    if (typeof value === "string" || value === null) continue;
    context.addIssue({ code: "custom", path: [key], message: "expected a string" });
    return false;
  }
  return true;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
