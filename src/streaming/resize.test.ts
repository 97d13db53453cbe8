// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cut } from "../../test/support/streaming/cut.ts";
import type { TerminalSize } from "./ports.ts";
import { ResizeReader } from "./resize.ts";

test("ResizeReader reads every size wherever the text was cut", () => {
  const cells = fc.integer({ min: 0, max: 65_535 });
  const size = fc.record({ width: cells, height: cells }, { noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(size), fc.array(fc.nat()), (sizes, places) => {
      const reader = new ResizeReader();
      const got: TerminalSize[] = [];
      reader.onResize((size) => got.push(size));
      const text = sizes.map(({ width, height }) => `{"Width":${width},"Height":${height}}\n`);
      for (const piece of cut(Buffer.from(text.join("")), places)) reader.push(piece);
      assert.deepEqual(got, sizes);
    }),
  );
});

test("ResizeReader skips what is no size", () => {
  const reader = new ResizeReader();
  const got: TerminalSize[] = [];
  reader.onResize((size) => got.push(size));
  const bad = ["{}", '{"Width":-1,"Height":2}', '{"Width":1e9,"Height":2}', "nonsense}", "[1]}"];
  reader.push(Buffer.from(`${bad.join("")}{"Width":1,"Height":2}`));
  reader.push(Buffer.alloc(1024 * 1024, "{"));
  reader.push(Buffer.from('}{"Width":3,"Height":4}'));
  assert.deepEqual(got, [
    { width: 1, height: 2 },
    { width: 3, height: 4 },
  ]);
});

test("ResizeReader keeps the latest size for a listener that comes late", () => {
  const reader = new ResizeReader();
  reader.push(Buffer.from('{"Width":1,"Height":2}{"Width":3,"Height":4}'));
  const got: TerminalSize[] = [];
  reader.onResize((size) => got.push(size));
  assert.deepEqual(got, [{ width: 3, height: 4 }]);
});

test("ResizeReader takes a long object for none, wherever it was cut", () => {
  const object = `{${" ".repeat(1100)}"Width":1,"Height":1}`;
  for (const at of [0, 500, 1100, object.length - 1]) {
    const reader = new ResizeReader();
    const got: TerminalSize[] = [];
    reader.onResize((size) => got.push(size));
    reader.push(Buffer.from(object.slice(0, at)));
    reader.push(Buffer.from(`${object.slice(at)}{"Width":2,"Height":2}`));
    assert.deepEqual(got, [{ width: 2, height: 2 }], `cut at ${at}`);
  }
});

test("ResizeReader looks at nothing more of a client that does not send sizes", () => {
  const reader = new ResizeReader();
  const got: TerminalSize[] = [];
  reader.onResize((size) => got.push(size));
  const size = Buffer.from('{"Width":1,"Height":2}');
  reader.push(Buffer.from("{}".repeat(1000)));
  reader.push(size);
  reader.push(Buffer.from("{}"));
  reader.push(size);
  assert.deepEqual(got, [{ width: 1, height: 2 }]);
});
