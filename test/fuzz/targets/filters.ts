// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { compileFilters, labelField } from "../../../src/base/filter.ts";
import { ByteSource } from "../byte-source.ts";
import { type FuzzTarget, refused } from "../target.ts";

const samples = [
  "id==a",
  'labels."a/b"!=x',
  "image~=/^a+b/",
  "id,labels.x==1",
  'name == "q\\"uote"',
  "topic~=|a\\|b|",
  "event.exit_status==3",
  "id~=[a-c]{2,3}",
  "namespace==k8s.io,topic==/tasks/exit",
];
const names = ["id", "image", "kind", "name_2"];
const words = [
  "",
  "a",
  "b",
  "aab",
  "x/y",
  "ä",
  'q"',
  "\\",
  "a b",
  ",",
  "==",
  "1",
  "\u0001\n\u0085",
  "u0041",
  "😀",
];

/**
 * The filters of containerd's clients. What is written of a filter's meaning, quoted and spaced in any way, means it
 * again; any text compiles or is refused, and a compiled expression takes no time to speak of.
 */
export const target: FuzzTarget = {
  name: "filters",
  parses: ["src/base/filter.ts", "src/base/linear-pattern.ts"],
  dictionary: [
    "\\u0041",
    "\\x41",
    "\\U0001F600",
    "==",
    "!=",
    "~=",
    '"',
    "\\",
    "/",
    "|",
    "(a*)*",
    "{2,3}",
    "[^a]",
    "labels.",
    ",",
    "{1000}",
    "(?:",
  ],
  seeds: () => [
    ...samples.map((text) => Buffer.from(`\0${text}`)),
    Buffer.from([1, 2, 1, 0, 3, 1, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9]),
  ],
  run: (input) => {
    const source = new ByteSource(input);
    if (source.bool()) checkMeaning(source);
    else checkAny(source.rest().toString("utf8"));
  },
};

interface Thing {
  readonly fields: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

const read = ({ fields, labels }: Thing, path: readonly string[]): string | undefined =>
  path[0] === "labels"
    ? labelField(labels, path)
    : path.length === 1 && Object.hasOwn(fields, path[0] ?? "")
      ? fields[path[0] ?? ""]
      : undefined;

function checkMeaning(source: ByteSource): void {
  const labelKeys = ["a/b", "x", "__proto__", "a.b", "constructor"];
  const thing: Thing = {
    fields: Object.fromEntries(source.list(3, () => [source.pick(names), source.pick(words)])),
    labels: Object.fromEntries(source.list(3, () => [source.pick(labelKeys), source.pick(words)])),
  };
  const filters = source.list(3, () => source.list(3, () => drawCondition(source, labelKeys)));
  const texts = filters.map((conditions) =>
    conditions.map(({ text }) => text).join(source.pick([",", " , ", ",\t"])),
  );
  const passes = compileFilters(texts, read)(thing);
  const wanted =
    filters.length === 0 ||
    filters.some((conditions) => conditions.every(({ holds }) => holds(thing)));
  assert.equal(passes, wanted, JSON.stringify([texts, thing]));
}

function drawCondition(
  source: ByteSource,
  labelKeys: readonly string[],
): { text: string; holds: (thing: Thing) => boolean } {
  const isLabel = source.bool();
  const key = isLabel ? source.pick(labelKeys) : source.pick(names);
  const value = ({ fields, labels }: Thing): string | undefined =>
    isLabel
      ? Object.hasOwn(labels, key)
        ? labels[key]
        : undefined
      : Object.hasOwn(fields, key)
        ? fields[key]
        : undefined;
  const plain = /^\w+(?:\.\w+)*$/.test(key);
  const name = `${isLabel ? "labels." : ""}${plain && source.bool() ? key : quoted(key)}`;
  const wanted = source.pick(words);
  const written = /^[^\s,"]+$/.test(wanted) && source.bool() ? wanted : quoted(wanted);
  const gap = source.pick(["", " ", "\t "]);
  switch (source.below(4)) {
    case 0:
      return { text: name, holds: (thing) => value(thing) !== undefined };
    case 1:
      return { text: `${name}${gap}==${gap}${written}`, holds: (thing) => value(thing) === wanted };
    case 2:
      return {
        text: `${name}${gap}!=${gap}${written}`,
        holds: (thing) => (value(thing) ?? "") !== wanted,
      };
    default: {
      const pattern = source.pick([
        "^a+b$",
        "a|x/y",
        "[ab]{2,3}",
        "^$",
        "\\\\",
        "b{0}",
        "[^a]",
        "^.{1,2}$",
      ]);
      const quote = pattern.includes("|") ? "/" : source.pick(["/", "|", '"']);
      const inside =
        quote === '"' ? pattern.replaceAll("\\", "\\\\") : pattern.replaceAll(quote, `\\${quote}`);
      return {
        text: `${name}${gap}~=${gap}${quote}${inside}${quote}`,
        holds: (thing) => new RegExp(pattern).test(value(thing) ?? ""),
      };
    }
  }
}

function quoted(text: string): string {
  return JSON.stringify(text)
    .replaceAll(
      /[\u007f-\u00a0]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
    )
    .replaceAll("😀", "\\U0001F600");
}

function checkAny(text: string): void {
  let passes: (thing: Thing) => boolean;
  try {
    passes = compileFilters([text], read);
  } catch (error) {
    return refused(error, "INVALID_ARGUMENT");
  }
  const long = "a".repeat(20_000);
  for (const value of ["", "a", `${long}b`]) {
    const thing: Thing = {
      fields: { id: value, image: value, topic: value },
      labels: { x: value },
    };
    const result = passes(thing);
    assert.equal(typeof result, "boolean");
    assert.equal(compileFilters([text, "nothing.of.it==1"], read)(thing), result);
  }
}
