// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig } from "./defaults.ts";
import { sections } from "./sections.ts";

test("the table of keys names every property of Config and no other", () => {
  const known = sections.flatMap((section) =>
    section.fields.map((field) =>
      [section.property, field.property].filter((part) => part !== "").join("."),
    ),
  );
  const present = Object.entries(defaultConfig).flatMap(([key, value]) =>
    typeof value === "object" ? Object.keys(value).map((inner) => `${key}.${inner}`) : [key],
  );
  const named = sections.flatMap(({ property, tables }) =>
    tables ? [`${property}.${tables.property}`] : [],
  );
  assert.deepEqual([...known, ...named].toSorted(), present.toSorted());
  for (const { tables } of sections) {
    if (!tables) continue;
    const own = tables.fields.map((field) => field.property);
    if (tables.rest !== undefined) own.push(tables.rest);
    assert.deepEqual(own.toSorted(), Object.keys(tables.defaults).toSorted());
  }
});

test("the schema takes every default as it is written", () => {
  for (const { fields, property } of sections) {
    const table = (
      property === "" ? defaultConfig : Reflect.get(defaultConfig, property)
    ) as Record<string, unknown>;
    for (const field of fields) {
      assert.deepEqual(
        field.schema.parse(field.write(table[field.property])),
        table[field.property],
        field.key,
      );
    }
  }
});
