// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { z } from "zod";
import { formatDuration, formatSize, parseDuration, parseSize } from "./quantity.ts";

/** One key of the TOML file: how it is read, written and explained. */
export interface Field {
  /** Name in the file, snake_case. */
  readonly key: string;
  /** Name in Config. */
  readonly property: string;
  /** What a reader of the reference sees: "path", "duration", "true or false", … */
  readonly kind: string;
  /** Reads and converts one value; its messages follow the key's name. */
  readonly schema: z.ZodType;
  /** Config's value as TOML writes it. */
  readonly write: (value: unknown) => unknown;
  readonly doc: string;
}

type Names = readonly [key: string, property: string];
const same = (value: unknown): unknown => value;

function make(names: Names, kind: string, schema: z.ZodType, doc: string, write = same): Field {
  return { key: names[0], property: names[1], kind, schema, write, doc };
}

function convert<T>(wanted: string, read: (text: string) => T | undefined): z.ZodType<T> {
  return z.unknown().transform((value, context) => {
    const known = typeof value === "string" ? read(value) : undefined;
    if (known !== undefined) return known;
    context.addIssue({
      code: "custom",
      message: `expected ${wanted}, got ${JSON.stringify(value)}`,
    });
    return z.NEVER;
  });
}

/** "/a//b/" → "/a/b". */
const plain = (text: string): string => path.resolve("/", text);
const string = z.string({ error: (issue) => `expected a string, got ${shown(issue.input)}` });
const strings = z.array(string, {
  error: (issue) => `expected an array of strings, got ${shown(issue.input)}`,
});

function shown(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "bigint" ? `${part}` : part,
  );
}

export function text(names: Names, doc: string): Field {
  return make(names, "string", string, doc);
}

/** An absolute path, made plain; `empty` also lets "" through. */
export function pathField(names: Names, doc: string, empty = false): Field {
  const schema = string
    .refine((value) => (empty && value === "") || path.isAbsolute(value), {
      error: (issue) => `expected an absolute path, got ${shown(issue.input)}`,
    })
    .transform((value) => (value === "" ? "" : plain(value)));
  return make(names, empty ? 'path or ""' : "path", schema, doc);
}

/** Absolute paths in one string, "A:B", looked through in this order; "" for none. */
export function searchPath(names: Names, doc: string): Field {
  const parts = (value: string): string[] => (value === "" ? [] : value.split(":"));
  const schema = string
    .refine((value) => parts(value).every((part) => path.isAbsolute(part)), {
      error: (issue) =>
        `expected absolute paths with ":" between them, or "", got ${shown(issue.input)}`,
    })
    .transform((value) => parts(value).map(plain).join(":"));
  return make(names, 'paths with ":" between them, or ""', schema, doc);
}

export function paths(names: Names, doc: string): Field {
  const schema = strings
    .refine((values) => values.every((value) => path.isAbsolute(value)), {
      error: (issue) => `expected absolute paths, got ${shown(issue.input)}`,
    })
    .transform((values) => values.map(plain));
  return make(names, "array of paths", schema, doc);
}

export function list(names: Names, doc: string): Field {
  return make(names, "array of strings", strings, doc);
}

export function flag(names: Names, doc: string): Field {
  const schema = z.boolean({
    error: (issue) => `expected true or false, got ${shown(issue.input)}`,
  });
  return make(names, "true or false", schema, doc);
}

export function integer(names: Names, doc: string, range: { min: number; max: number }): Field {
  const wanted = `a whole number from ${range.min} to ${range.max}`;
  const error = (issue: { input?: unknown }): string =>
    `expected ${wanted}, got ${shown(issue.input)}`;
  return make(
    names,
    wanted,
    z.int({ error }).min(range.min, { error }).max(range.max, { error }),
    doc,
  );
}

export function choice(names: Names, doc: string, values: readonly string[]): Field {
  const kind = values.map((value) => `"${value}"`).join(", ");
  const schema = z.enum(values, {
    error: (issue) => `expected one of ${kind}, got ${shown(issue.input)}`,
  });
  return make(names, kind, schema, doc);
}

export function duration(names: Names, doc: string): Field {
  const schema = convert('a duration such as "500ms", "2s" or "1m30s"', parseDuration);
  return make(names, "duration", schema, doc, (value) => formatDuration(Number(value)));
}

/** Bytes, as a whole number or a string with KiB, MiB or GiB. */
export function size(names: Names, doc: string): Field {
  const read = convert('a size such as 4096, "16KiB" or "4MiB"', parseSize);
  const schema = z.preprocess(
    (value) => (Number.isSafeInteger(value) ? String(value) : value),
    read,
  );
  return make(names, "size", schema, doc, (value) => formatSize(Number(value)));
}

/** A table whose keys are free, with all that TOML can say, but for dates. */
export function freeTable(names: Names, doc: string): Field {
  const value: z.ZodType = z.lazy(() =>
    z.union([z.string(), z.boolean(), z.number(), z.array(value), z.record(z.string(), value)], {
      error: (issue) =>
        `expected strings, numbers, true or false, arrays or tables, got ${shown(issue.input)}`,
    }),
  );
  return make(names, "table", z.record(z.string(), value), doc);
}
