// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { TerminalSize } from "../../../src/streaming/ports.ts";
import { ResizeReader } from "../../../src/streaming/resize.ts";
import { sentInPieces } from "../support/cuts.ts";
import type { FuzzTarget } from "../target.ts";

/** What a client sends about its terminal's size: the same sizes wherever the network cut it. */
export const target: FuzzTarget = {
  name: "resize",
  parses: ["src/streaming/resize.ts"],
  maxBytes: 3072,
  dictionary: [
    '{"Width":80,"Height":24}',
    '{"Height":0}',
    '"Width":65536',
    "1e2",
    "-0",
    "}",
    "{",
    "\n",
    "\xff",
    "\xc3\xa9",
  ],
  *seeds() {
    const sizes =
      '{"Width":80,"Height":24}\n{"Width":81,"Height":25,"more":"\xe9"}{"Width":1e2,"Height":0}';
    for (const cuts of [0, 1, 3]) yield Buffer.concat([Buffer.from(sizes), Buffer.from([0, cuts])]);
    for (const cuts of [0, 1, 9]) {
      const long = `{${" ".repeat(1100)}"Width":1,"Height":1}{"Width":2,${" ".repeat(900)}"Height":2}`;
      yield Buffer.concat([Buffer.from(long), Buffer.from([0, cuts])]);
    }
    yield Buffer.concat([Buffer.alloc(3000, "}"), Buffer.from([0, 0])]);
    yield Buffer.concat([Buffer.alloc(3000, "{}"), Buffer.from([0, 1])]);
  },
  run(input) {
    const { bytes, pieces } = sentInPieces(input);
    const found = sizesOf(pieces);
    assert.deepEqual(found, sizesOf([bytes]), "another cut, other sizes");
    for (const { width, height } of found) {
      for (const cells of [width, height]) {
        assert.ok(Number.isInteger(cells) && cells >= 0 && cells <= 0xffff, `${cells} cells`);
      }
    }
    const reader = new ResizeReader();
    for (const piece of pieces) reader.push(piece);
    let latest: TerminalSize | undefined;
    reader.onResize((size) => (latest = size));
    assert.deepEqual(latest, found.at(-1), "the latest is told to whoever comes late");
    const sizes = [
      { width: bytes.length, height: 24 },
      { width: 0, height: 0xffff },
    ];
    const text = sizes.map(({ width, height }) => JSON.stringify({ Width: width, Height: height }));
    assert.deepEqual(sizesOf(text.map((one) => Buffer.from(one))), sizes);
  },
};

function sizesOf(pieces: readonly Buffer[]): TerminalSize[] {
  const sizes: TerminalSize[] = [];
  const reader = new ResizeReader();
  reader.onResize((size) => sizes.push(size));
  for (const piece of pieces) reader.push(piece);
  return sizes;
}
