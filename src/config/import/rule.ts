// SPDX-License-Identifier: Apache-2.0

/** A key of ours and its value. */
export interface Setting {
  readonly key: readonly string[];
  readonly value: unknown;
}

/** Why a key of another runtime has no counterpart. */
export interface Unmatched {
  readonly lost: string;
}

/** What becomes of a key of another runtime. */
export interface Rule {
  /** Its canonical name, parts by slashes; "*" is any one part, and a "**" at the end all that follow. */
  readonly at: string;
  /** Values that need no word: what the other runtime has by default, and what berthd does in any case. */
  readonly quiet?: readonly unknown[];
  /** `names`: what stood in the place of each "*". */
  readonly becomes: (value: unknown, names: readonly string[]) => readonly Setting[] | Unmatched;
}

/** One key of another runtime's file, with the name that rules know it by. */
export interface Entry {
  readonly canonical: readonly string[];
  /** As its file has it. */
  readonly written: string;
  readonly value: unknown;
}

/** The value under another name. */
export function to(key: string): Rule["becomes"] {
  return (value) => [{ key: key.split("."), value }];
}

/** The same in the table of a handler, whose name stood in the place of the "*". */
export function toHandler(...key: readonly string[]): Rule["becomes"] {
  return (value, [name = ""]) => [{ key: ["runtime", "handlers", name, ...key], value }];
}

/** A level of the log; logrus, which both write theirs with, takes two words more. */
export const toLevel: Rule["becomes"] = (value) => {
  const words: Readonly<Record<string, string>> = { warning: "warn", panic: "fatal" };
  const word = typeof value === "string" ? value.toLowerCase() : value;
  const level = typeof word === "string" && Object.hasOwn(words, word) ? words[word] : word;
  return [{ key: ["log", "level"], value: level }];
};

export function lost(reason: string): Rule["becomes"] {
  return () => ({ lost: reason });
}

/** A number that something else takes up; what is none is told. */
export const countOrLost: Rule["becomes"] = (value) =>
  Number.isInteger(value) ? [] : { lost: "it is no whole number" };

/** What needs no word at all. */
export const nothing: Rule["becomes"] = () => [];

/** What stood in the places of the "*"; undefined where the names differ. */
export function matches(rule: Rule, canonical: readonly string[]): readonly string[] | undefined {
  const wanted = rule.at.split("/");
  const names: string[] = [];
  for (const [at, part] of wanted.entries()) {
    if (part === "**") return names;
    const name = canonical[at];
    if (name === undefined || (part !== "*" && part !== name)) return undefined;
    if (part === "*") names.push(name);
  }
  return wanted.length === canonical.length ? names : undefined;
}
