// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Config } from "./config.ts";
import { defaultConfig, defaultHandler, defaultOperatorPlugin } from "./defaults.ts";
import { loadConfig } from "./load.ts";
import { renderReference } from "./reference.ts";
import { planReload } from "./reload-plan.ts";
import { renderConfig } from "./render.ts";
import { type Field, sections } from "./sections.ts";

type Tree = Record<string, unknown>;

/** Every key there is, with the configuration in which every named table is there once. */
const whole: Config = {
  ...defaultConfig,
  runtime: { ...defaultConfig.runtime, handlers: { runc: defaultHandler } },
  plugins: { ...defaultConfig.plugins, config: { one: defaultOperatorPlugin } },
  nri: { ...defaultConfig.nri, plugins: { "10-one": { onFailure: "", requestTimeoutMs: 0 } } },
};
const names: Readonly<Record<string, string>> = {
  handlers: "runc",
  config: "one",
  plugins: "10-one",
};
const all = sections.flatMap(({ key, fields, tables }) => {
  const at = key === "" ? [] : [key];
  const inside = tables === undefined ? [] : [...at, tables.key, names[tables.key] ?? ""];
  return [
    ...fields.map((field) => ({ field, at })),
    ...(tables?.fields ?? []).map((field) => ({ field, at: inside })),
  ];
});

for (const { field, at } of all) {
  test(`what is declared of ${[...at, field.key].join(".")} holds together`, () => {
    const standard = tableAt(whole, at)[field.property];
    assert.notEqual(standard, undefined);
    assert.deepEqual(field.schema.parse(field.write(standard)), standard);
    assert.ok(/^[A-Z`"].*\.$/.test(field.doc), field.doc);
    assert.ok(renderReference().includes(`| \`${field.key}\` | ${field.kind} |`));
    for (const part of field.parts ?? []) {
      assert.ok(/^[A-Z`"].*\.$/.test(part.doc), part.doc);
      assert.ok(renderReference().includes(`| \`${part.key}\` | ${part.kind} |`));
    }

    // Another value than the default is taken up or waits, as the key says.
    const wanted = structuredClone(whole);
    tableAt(wanted, at)[field.property] = otherThan(standard, field);
    const { next, changes, waiting } = planReload(whole, wanted, () => false);
    const [done, left] = field.change === "reload" ? [changes, waiting] : [waiting, changes];
    assert.deepEqual(
      done.map(({ key }) => key.slice(0, at.length + 1)),
      [[...at, field.key]],
    );
    assert.deepEqual(left, []);
    assert.deepEqual(next, field.change === "reload" ? wanted : whole);
  });
}

test("keys of named tables reload as those tables do", () => {
  for (const { tables } of sections) {
    for (const field of tables?.fields ?? []) assert.equal(field.change, tables?.change);
  }
});

test("names are given once, those of keys that are no more too", () => {
  for (const { key, fields, retired, tables } of sections) {
    const own = [...fields.map((field) => field.key), ...retired.map(({ name }) => name)];
    if (tables !== undefined) own.push(tables.key);
    if (key === "") own.push(...sections.map((section) => section.key));
    assert.equal(new Set(own).size, own.length, own.join());
  }
});

test("a key without a reader is found", () => {
  const sources = sourcesOutsideConfig();
  const unread = all
    .filter(({ field }) => !isRead(sources, field.property))
    .map(({ at, field }) => [...at, field.key].join("."));
  assert.deepEqual(unread, []);
  assert.ok(!isRead(sources, "maxNobodyReadsThis"));
});

test("the file that shows all defaults is read as them", () => {
  const overrides = Object.fromEntries(
    sections
      .filter(({ key }) => key !== "")
      .map(({ key, fields, defaults }) => [
        key,
        Object.fromEntries(
          fields.map((field) => [field.key, field.write((defaults as Tree)[field.property])]),
        ),
      ]),
  );
  assert.deepEqual(loadConfig({ file: "/dev/null", overrides }).config, defaultConfig);
  assert.match(renderConfig(defaultConfig, { comments: true }), /^# /);
});

function tableAt(config: Config, at: readonly string[]): Tree {
  return at.reduce((tree, name) => tree[name] as Tree, config as unknown as Tree);
}

/** Some other value of the same kind; a reload compares, and does not check. */
function otherThan(value: unknown, { kind }: Field): unknown {
  if (typeof value === "boolean") return !value;
  if (typeof value === "number") return value + 1;
  if (Array.isArray(value)) return [...(value as unknown[]), "/x"];
  if (typeof value === "string") return `${value}x`;
  assert.equal(kind, "table");
  return { x: 1 };
}

/** Every word that TypeScript could read a property by, of all of src but its tests and the configuration. */
function sourcesOutsideConfig(): string {
  const src = path.resolve(import.meta.dirname, "..");
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .filter((file) => !/^(config|gen)\//.test(file))
    .map((file) =>
      readFileSync(path.join(src, file), "utf8").replaceAll(/^\s*(\/\/|\/?\*).*$/gm, ""),
    )
    .join("\n");
}

/** `x.property`, `{ property }` or `{ property: y }`. */
function isRead(sources: string, property: string): boolean {
  return new RegExp(`[.{,]\\s*${property}\\b`).test(sources);
}
