// SPDX-License-Identifier: Apache-2.0
import { fault } from "./errors.ts";
import { linearPattern } from "./linear-pattern.ts";

/**
 * The value of a field, or undefined where the object has none. A path is the dotted name taken
 * apart: `labels."a/b"` is ["labels", "a/b"].
 */
export type FieldReader<T> = (object: T, path: readonly string[]) => string | undefined;

interface Condition {
  readonly path: readonly string[];
  readonly test: (value: string | undefined) => boolean;
}

const operators = ["==", "!=", "~="] as const;

/**
 * Compiles filters of containerd's grammar to a predicate. An object passes when any filter passes
 * (no filters: always); a filter passes when all its comma-separated conditions hold:
 *
 *     field              it is there
 *     field == value     `field != value`, `field ~= regular-expression`
 *
 * Values may be quoted with `"`, regular expressions also with `/` or `|`; parts of a field's name
 * with `"`. INVALID_ARGUMENT says where a filter is wrong.
 */
export function compileFilters<T>(
  filters: readonly string[],
  read: FieldReader<T>,
): (object: T) => boolean {
  if (filters.length === 0) return () => true;
  const alternatives = filters.map((text) => new FilterParser(text).parse());
  return (object) =>
    alternatives.some((conditions) =>
      conditions.every(({ path, test }) => test(read(object, path))),
    );
}

/** One field of a label map: everything after the first part is the key, dots and all. */
export function labelField(
  labels: Readonly<Record<string, string>>,
  path: readonly string[],
): string | undefined {
  const key = path.slice(1).join(".");
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

class FilterParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): readonly Condition[] {
    const conditions: Condition[] = [];
    this.#skipSpace();
    if (this.#at === this.#text.length) return conditions; // an empty filter holds for everything
    for (;;) {
      conditions.push(this.#condition());
      this.#skipSpace();
      if (this.#at === this.#text.length) return conditions;
      if (this.#text[this.#at] !== ",") throw this.#wrong('expected ","');
      this.#at += 1;
    }
  }

  #condition(): Condition {
    this.#skipSpace();
    const path = this.#path();
    this.#skipSpace();
    const operator = operators.find((one) => this.#text.startsWith(one, this.#at));
    if (!operator) {
      if (this.#at < this.#text.length && this.#text[this.#at] !== ",") {
        throw this.#wrong('expected "==", "!=", "~=" or ","');
      }
      return { path, test: (value) => value !== undefined };
    }
    this.#at += operator.length;
    this.#skipSpace();
    const wanted = this.#value(operator === "~=" ? '"/|' : '"');
    if (operator === "==") return { path, test: (value) => value === wanted };
    // A missing field counts as empty, but is equal to nothing.
    if (operator === "!=") return { path, test: (value) => (value ?? "") !== wanted };
    const expression = this.#expression(wanted);
    return { path, test: (value) => expression.test(value ?? "") };
  }

  #path(): readonly string[] {
    const parts = [this.#part()];
    while (this.#text[this.#at] === ".") {
      this.#at += 1;
      parts.push(this.#part());
    }
    return parts;
  }

  #part(): string {
    if (this.#text[this.#at] === '"') return this.#quoted();
    const name = this.#match(/[A-Za-z0-9_]+/y);
    if (name === undefined) throw this.#wrong("expected a field");
    return name;
  }

  #value(quotes: string): string {
    const next = this.#text[this.#at];
    if (next !== undefined && quotes.includes(next)) return this.#quoted();
    const value = this.#match(/[^\s,]+/y);
    if (value === undefined) throw this.#wrong("expected a value");
    return value;
  }

  #quoted(): string {
    const quote = this.#text[this.#at] ?? "";
    const start = this.#at;
    let value = "";
    for (let at = start + 1; at < this.#text.length; at += 1) {
      const char = this.#text[at] ?? "";
      if (char === quote) {
        this.#at = at + 1;
        return value;
      }
      if (char !== "\\") {
        value += char;
        continue;
      }
      const escaped = this.#text[at + 1];
      // In an expression a backslash is part of the expression, unless it escapes the closing quote.
      if (quote !== '"' && escaped !== quote) {
        value += `\\${escaped ?? ""}`;
        at += 1;
        continue;
      }
      const [text, length] = unescaped(this.#text, at + 1);
      value += text;
      at += length;
    }
    throw this.#wrong("quote is not closed", start);
  }

  #expression(source: string): RegExp {
    try {
      return linearPattern(source);
    } catch (error) {
      const why = error instanceof Error ? reasonOf(error.message) : "";
      throw this.#wrong(
        `"${source.slice(0, 256)}" is no regular expression: ${why}`,
        this.#at,
        error,
      );
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #skipSpace(): void {
    this.#match(/\s+/y);
  }

  #wrong(reason: string, at = this.#at, cause?: unknown): Error {
    const message = `filter "${this.#text.slice(0, 1024)}" is invalid: ${reason} at character ${at + 1}`;
    return fault("INVALID_ARGUMENT", message, { cause });
  }
}

/** V8 quotes the expression, which may be long and of several lines, before the reason. */
function reasonOf(message: string): string {
  return message
    .slice(message.lastIndexOf("/l: ") + 1)
    .replace(/^l: /, "")
    .slice(0, 256);
}

const oneLetter: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/**
 * The character that an escape stands for, and how many characters the escape has: those of Go's `%q`, with which
 * containerd's clients quote. After any other backslash the character stands for itself.
 */
function unescaped(text: string, at: number): [string, number] {
  const letter = text[at] ?? "";
  const byNumber = /x([\dA-Fa-f]{2})|u([\dA-Fa-f]{4})|U([\dA-Fa-f]{8})/y;
  byNumber.lastIndex = at;
  const [whole = "", ...digits] = byNumber.exec(text) ?? [];
  const code = Number.parseInt(digits.find((found) => found !== undefined) ?? "", 16);
  if (code <= 0x10ffff) return [String.fromCodePoint(code), whole.length];
  return [
    (Object.hasOwn(oneLetter, letter) ? oneLetter[letter] : undefined) ?? letter,
    letter.length,
  ];
}
