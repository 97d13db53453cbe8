// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isFault } from "./errors.ts";
import { compileFilters, labelField } from "./filter.ts";

interface Thing {
  id: string;
  image?: string;
  labels: Record<string, string>;
}

function read(thing: Thing, path: readonly string[]): string | undefined {
  if (path[0] === "id") return thing.id;
  if (path[0] === "image") return thing.image;
  if (path[0] === "labels") return labelField(thing.labels, path);
  return undefined;
}

const thing: Thing = {
  id: "web-1",
  image: "docker.io/library/nginx:1.27",
  labels: {
    app: "web",
    "io.kubernetes.pod/name": "web, 1",
    "a.b": "c",
    empty: "",
    odd: "\u0001\u0085😀\u0007\n",
  },
};

const table: { filters: string[]; passes: boolean }[] = [
  { filters: [], passes: true },
  { filters: [""], passes: true },
  { filters: ["id==web-1"], passes: true },
  { filters: ["id == web-1"], passes: true },
  { filters: ['id=="web-1"'], passes: true },
  { filters: ["id==web"], passes: false },
  { filters: ["id!=web"], passes: true },
  { filters: ["id!=web-1"], passes: false },
  { filters: ["id==no", "id==web-1"], passes: true },
  { filters: ["id==web-1,image==x"], passes: false },
  { filters: ["id==web-1, labels.app==web"], passes: true },
  { filters: ["image~=nginx"], passes: true },
  { filters: ['image~="^docker\\\\.io/"'], passes: true },
  { filters: ["image~=/^docker\\.io\\//"], passes: true },
  { filters: ["image~=|:1\\.2[0-9]$|"], passes: true },
  { filters: ["image~=^nginx"], passes: false },
  { filters: ["labels.app"], passes: true },
  { filters: ["labels.none"], passes: false },
  { filters: ["labels.empty"], passes: true },
  { filters: ["labels.none!=x"], passes: true },
  { filters: ['labels.none!=""'], passes: false },
  { filters: ["labels.toString"], passes: false },
  { filters: ['labels."io.kubernetes.pod/name"=="web, 1"'], passes: true },
  { filters: ["labels.a.b==c"], passes: true },
  // As Go's %q writes what cannot be printed.
  { filters: ['labels.odd=="\\x01\\u0085\\U0001f600\\a\\n"'], passes: true },
  { filters: ['labels.odd!="x01\\u0085"'], passes: true },
  { filters: ['labels.app=="\\w\\x65b"'], passes: true },
  { filters: ["unknown.field==x"], passes: false },
];

for (const { filters, passes } of table) {
  test(`compileFilters: ${JSON.stringify(filters)} ${passes ? "passes" : "does not pass"}`, () => {
    assert.equal(compileFilters(filters, read)(thing), passes);
  });
}

const wrong = [
  "==x",
  "id==",
  "id=x",
  'id=="x',
  "id==x,",
  "id==x y",
  ".id",
  "labels.",
  "id~=(",
  "id ? x",
  ",",
];
for (const text of wrong) {
  test(`compileFilters refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => compileFilters([text], read), {
      code: "INVALID_ARGUMENT",
      message: /is invalid/,
    });
  });
}

test("compileFilters finds any quoted label value, and never throws but INVALID_ARGUMENT", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (key, value) => {
      const pass = compileFilters([`labels.${quote(key)}==${quote(value)}`], read);
      assert.equal(pass({ id: "", labels: { [key]: value } }), true);
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        compileFilters([text], read)(thing);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "INVALID_ARGUMENT");
      }
    }),
  );
});

function quote(text: string): string {
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

test("a refused filter is quoted in part, whatever it is", () => {
  const long = `id~=|(${"a{2,}\n".repeat(400)}|`;
  assert.throws(
    () => compileFilters([long], read),
    (error: unknown) => {
      assert.ok(isFault(error, "INVALID_ARGUMENT"));
      assert.ok(error.message.length < 2048, String(error.message.length));
      assert.match(error.message, /is no regular expression: Unterminated group at character/);
      return true;
    },
  );
});
