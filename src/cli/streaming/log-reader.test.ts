// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { LogReader, type LogReaderOptions } from "./log-reader.ts";

const file = [
  "2026-11-23T20:00:00.000000001Z stdout F one",
  "2026-11-23T20:00:01.000000000Z stderr F oops",
  "2026-11-23T20:00:02.000000000Z stdout P half ",
  "2026-11-23T20:00:03.000000000Z stdout F line",
  "2026-11-23T20:00:04.000000000Z stdout F ",
  "not a log line",
  "",
].join("\n");

const cases: {
  readonly name: string;
  readonly options: Partial<LogReaderOptions>;
  readonly out: string;
  readonly error: string;
}[] = [
  {
    name: "puts parts together, each stream on its own",
    options: {},
    out: "one\nhalf line\n\nnot a log line\n",
    error: "oops\n",
  },
  { name: "keeps the last lines", options: { tail: 2 }, out: "\nnot a log line\n", error: "" },
  { name: "keeps none", options: { tail: 0 }, out: "", error: "" },
  {
    name: "counts a line in parts as one",
    options: { tail: 3 },
    out: "half line\n\nnot a log line\n",
    error: "",
  },
  {
    name: "leaves out what is too old",
    options: { sinceMs: Date.parse("2026-11-23T20:00:03.500Z") },
    out: "\nnot a log line\n",
    error: "",
  },
  {
    name: "puts a time before each line, not before its parts",
    options: { timestamps: true, sinceMs: Date.parse("2026-11-23T20:00:01.500Z") },
    out: "2026-11-23T20:00:02.000000000Z half line\n2026-11-23T20:00:04.000000000Z \nnot a log line\n",
    error: "",
  },
];

for (const { name, options, out, error } of cases) {
  for (const pieceBytes of [1, 7, 4096]) {
    test(`LogReader ${name}, in pieces of ${pieceBytes}`, () => {
      const got = { out: "", error: "" };
      const io = {
        out: (text: string) => void (got.out += text),
        error: (text: string) => void (got.error += text),
      };
      const all = { tail: undefined, sinceMs: undefined, timestamps: false, ...options };
      const reader = new LogReader(io, all);
      const bytes = Buffer.from(file);
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        reader.push(bytes.subarray(at, at + pieceBytes));
      }
      reader.caughtUp();
      assert.deepEqual(got, { out, error });
    });
  }
}

test("LogReader puts a character together that two parts of a line share", () => {
  const [first, second] = [Buffer.from("ä€").subarray(0, 3), Buffer.from("ä€").subarray(3)];
  let out = "";
  const io = { out: (text: string) => void (out += text), error: () => {} };
  const reader = new LogReader(io, { tail: undefined, sinceMs: undefined, timestamps: false });
  const prefix = "2026-11-23T20:00:00.000000001Z";
  for (const [tag, content] of [
    ["P", first],
    ["F", second],
  ] as const) {
    reader.push(
      Buffer.concat([Buffer.from(`${prefix} stdout ${tag} `), content, Buffer.from("\n")]),
    );
  }
  reader.push(Buffer.from(`${prefix} stderr F x\n`));
  assert.equal(out, "ä€\n");
});
