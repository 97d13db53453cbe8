// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { z } from "zod";
import type { Keys } from "./key.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./quantity.ts";

/** How values of one kind are read, written and named. */
export interface Kind<T> {
  /** What a reader of the reference sees: "path", "duration", "true or false", … */
  readonly name: string;
  /** Reads and converts one value; its messages follow the key's name. Made when it is first asked for: see `once`. */
  readonly schema: z.ZodType<T>;
  /** Config's value as TOML writes it. */
  write(value: T): unknown;
  /** Of a table of fixed keys: those (subtable.ts). */
  readonly parts?: Keys;
}

/** What TOML can say, but for dates. */
export type RuntimeOption =
  | string
  | number
  | boolean
  | readonly RuntimeOption[]
  | { readonly [key: string]: RuntimeOption };

// A table is parsed once: functions that zod writes and compiles for each cost a start ten milliseconds.
z.config({ jitless: true });

const same = (value: unknown): unknown => value;

/** Makes it when it is first asked for: the schemas of all keys take a start 20 ms, and a file has few of them. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function make<T>(
  name: string,
  schema: () => z.ZodType<T>,
  write: (value: T) => unknown = same,
): Kind<T> {
  const made = once(schema);
  return {
    name,
    get schema() {
      return made();
    },
    write,
  };
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
const string = once(() =>
  z.string({ error: (issue) => `expected a string, got ${shown(issue.input)}` }),
);
const stringArray = once(() =>
  z.array(string(), {
    error: (issue) => `expected an array of strings, got ${shown(issue.input)}`,
  }),
);

function shown(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "bigint" ? `${part}` : part,
  );
}

export const text = make("string", string);

const asPath = (value: string): string => (value === "" ? "" : plain(value));
const pathWanted = {
  error: (issue: { input?: unknown }) => `expected an absolute path, got ${shown(issue.input)}`,
};

/** An absolute path, made plain. */
export const absolutePath = make("path", () =>
  string()
    .refine((value) => path.isAbsolute(value), pathWanted)
    .transform(asPath),
);

/** The same, or "". */
export const pathOrNone = make('path or ""', () =>
  string()
    .refine((value) => value === "" || path.isAbsolute(value), pathWanted)
    .transform(asPath),
);

const parts = (value: string): string[] => (value === "" ? [] : value.split(":"));

/** Absolute paths in one string, "A:B", or in an array, looked through in this order; "" for none. */
export const searchPath = make('paths with ":" between them, or ""', () =>
  z
    .preprocess(
      (value) => (Array.isArray(value) && value.every(isString) ? value.join(":") : value),
      string(),
    )
    .refine((value) => parts(value).every((part) => path.isAbsolute(part)), {
      error: (issue) =>
        `expected absolute paths with ":" between them, or "", got ${shown(issue.input)}`,
    })
    .transform((value) => parts(value).map(plain).join(":")),
);

function isString(value: unknown): boolean {
  return typeof value === "string";
}

export const paths = make<readonly string[]>("array of paths", () =>
  stringArray()
    .refine((values) => values.every((value) => path.isAbsolute(value)), {
      error: (issue) => `expected absolute paths, got ${shown(issue.input)}`,
    })
    .transform((values) => values.map(plain)),
);

export const strings = make<readonly string[]>("array of strings", stringArray);

export const flag = make("true or false", () =>
  z.boolean({ error: (issue) => `expected true or false, got ${shown(issue.input)}` }),
);

export function integer(min: number, max: number): Kind<number> {
  const wanted = `a whole number from ${min} to ${max}`;
  const error = (issue: { input?: unknown }): string =>
    `expected ${wanted}, got ${shown(issue.input)}`;
  return make(wanted, () => z.int({ error }).min(min, { error }).max(max, { error }));
}

export function choice<const V extends string>(...values: readonly V[]): Kind<V> {
  const name = values.map((value) => `"${value}"`).join(", ");
  return make<V>(name, () =>
    z.enum(values, { error: (issue) => `expected one of ${name}, got ${shown(issue.input)}` }),
  );
}

/** Milliseconds. */
export const duration = make(
  "duration",
  () => convert('a duration such as "500ms", "2s" or "1m30s"', parseDuration),
  formatDuration,
);

/** Bytes, as a whole number or a string with KiB, MiB or GiB. */
export const size = make(
  "size",
  () =>
    z.preprocess(
      (value) => (Number.isSafeInteger(value) ? String(value) : value),
      convert('a size such as 4096, "16KiB" or "4MiB"', parseSize),
    ),
  formatSize,
);

const option: () => z.ZodType<RuntimeOption> = once(() => {
  const inner = z.lazy(option);
  return z.union(
    [z.string(), z.boolean(), z.number(), z.array(inner), z.record(z.string(), inner)],
    {
      error: (issue) =>
        `expected strings, numbers, true or false, arrays or tables, got ${shown(issue.input)}`,
    },
  );
});

/** A table whose keys are free. */
export const freeTable = make<Readonly<Record<string, RuntimeOption>>>("table", () =>
  z.record(z.string(), option()),
);
