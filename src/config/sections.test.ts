// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig, defaultHandler } from "./defaults.ts";
import { handlerFields, sections } from "./sections.ts";

test("the table of keys names every property of Config and no other", () => {
  const known = sections.flatMap((section) =>
    section.fields.map((field) =>
      [section.property, field.property].filter((part) => part !== "").join("."),
    ),
  );
  const present = Object.entries(defaultConfig).flatMap(([key, value]) =>
    typeof value === "object" ? Object.keys(value).map((inner) => `${key}.${inner}`) : [key],
  );
  assert.deepEqual([...known, "runtime.handlers"].toSorted(), present.toSorted());
  assert.deepEqual(
    handlerFields.map((field) => field.property).toSorted(),
    Object.keys(defaultHandler).toSorted(),
  );
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
