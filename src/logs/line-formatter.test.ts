// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { LineFormatter, type LineSink } from "./line-formatter.ts";
import { TIMESTAMP_LENGTH } from "./log-clock.ts";

const time = Buffer.from("2026-11-23T22:20:00.123456789Z");

class Gathered implements LineSink {
  buffer: Buffer = Buffer.alloc(0);
  readonly lines: string[] = [];

  reserve(bytes: number): number {
    this.buffer = Buffer.alloc(bytes + 3);
    return 3;
  }

  commit(bytes: number): void {
    this.lines.push(this.buffer.toString("latin1", 3, 3 + bytes));
  }
}

/** Tag and content of each line, `F:abc`. */
function format(chunks: readonly (string | Buffer)[], max: number): string[] {
  const sink = new Gathered();
  const formatter = new LineFormatter("stdout", max, sink);
  for (const chunk of chunks) formatter.push(Buffer.from(chunk as string, "latin1"), time);
  formatter.end(time);
  return sink.lines.map((line) => {
    assert.equal(line.slice(0, TIMESTAMP_LENGTH), time.toString());
    assert.match(line.slice(TIMESTAMP_LENGTH), /^ stdout [FP] [^\n]*\n$/);
    return `${line.slice(38, 39)}:${line.slice(40, -1)}`;
  });
}

const cases: readonly {
  name: string;
  chunks: readonly string[];
  max: number;
  lines: readonly string[];
}[] = [
  { name: "nothing", chunks: [], max: 8, lines: [] },
  { name: "two lines in one read", chunks: ["a\nb\n"], max: 8, lines: ["F:a", "F:b"] },
  { name: "an empty line", chunks: ["\n"], max: 8, lines: ["F:"] },
  { name: "a line in three reads", chunks: ["a", "b", "c\n"], max: 8, lines: ["F:abc"] },
  { name: "the end without a newline", chunks: ["a\nbc"], max: 8, lines: ["F:a", "P:bc"] },
  { name: "a line as long as the limit", chunks: ["12345678\n"], max: 8, lines: ["F:12345678"] },
  { name: "one byte more", chunks: ["123456789\n"], max: 8, lines: ["P:12345678", "F:9"] },
  {
    name: "twice the limit",
    chunks: ["1234567812345678\n"],
    max: 8,
    lines: ["P:12345678", "F:12345678"],
  },
  {
    name: "the limit met without a newline at the end",
    chunks: ["12345678"],
    max: 8,
    lines: ["P:12345678"],
  },
  { name: "CR LF", chunks: ["a\r\nb\r\n"], max: 8, lines: ["F:a", "F:b"] },
  { name: "CR and LF in two reads", chunks: ["a\r", "\n"], max: 8, lines: ["F:a"] },
  { name: "CR within a line", chunks: ["a\rb\n"], max: 8, lines: ["F:a\rb"] },
  { name: "two CRs", chunks: ["a\r\r\n"], max: 8, lines: ["F:a\r"] },
  { name: "CR LF just past the limit", chunks: ["12345678\r\n"], max: 8, lines: ["F:12345678"] },
  {
    name: "CR LF just past the limit, in two reads",
    chunks: ["12345678\r", "\n"],
    max: 8,
    lines: ["F:12345678"],
  },
  {
    name: "a CR past the limit that is content",
    chunks: ["12345678\r", "x\n"],
    max: 8,
    lines: ["P:12345678", "F:\rx"],
  },
  {
    name: "a CR past the limit at the end",
    chunks: ["12345678\r"],
    max: 8,
    lines: ["P:12345678", "P:\r"],
  },
  {
    name: "no limit",
    chunks: ["x".repeat(40_000), "\n"],
    max: 0,
    lines: [`F:${"x".repeat(40_000)}`],
  },
];

for (const { name, chunks, max, lines } of cases) {
  test(`LineFormatter: ${name}`, () => {
    assert.deepEqual(format(chunks, max), lines);
  });
}

/** What the format means, written without any regard to reads. */
function reference(content: string, max: number): string[] {
  const lines: string[] = [];
  const parts = content.split("\n");
  const rest = parts.pop() ?? "";
  const split = (text: string, last: string): void => {
    let from = 0;
    for (; text.length - from > max; from += max) lines.push(`P:${text.slice(from, from + max)}`);
    lines.push(`${last}:${text.slice(from)}`);
  };
  for (const part of parts) split(part.endsWith("\r") ? part.slice(0, -1) : part, "F");
  if (rest !== "") split(rest, "P");
  return lines;
}

test("LineFormatter gives the same lines however the bytes are cut", () => {
  const piece = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("\n", "\r", "\r\n", "a") },
    { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom("x", "y", "\r"), maxLength: 20 }) },
  );
  fc.assert(
    fc.property(
      fc.array(fc.array(piece, { maxLength: 8 }), { maxLength: 12 }),
      fc.integer({ min: 1, max: 9 }),
      (chunks, max) => {
        const texts = chunks.map((chunk) => chunk.join(""));
        assert.deepEqual(format(texts, max), reference(texts.join(""), max));
      },
    ),
    { numRuns: 2000 },
  );
});

test("LineFormatter gives back the memory of a long unfinished line", () => {
  const sink = new Gathered();
  const formatter = new LineFormatter("stderr", 0, sink);
  formatter.push(Buffer.alloc(100_000, "x"), time);
  assert.equal(formatter.pendingBytes, 100_000);
  formatter.push(Buffer.from("\n"), time);
  assert.equal(formatter.pendingBytes, 0);
  assert.equal(sink.lines[0]?.length, 100_041);
});
