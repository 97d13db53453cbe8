// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { scratch } from "../../test/support/scratch.ts";
import { CoverageRun, describeCoverage, SourceLines } from "./coverage.ts";

const text = `// comment
import { a } from "./a.ts";
interface Shape {
  readonly x: number;
}
export function one(): number {
  return 1;
}
export function two(): number {
  return 2;
}
`;
const url = "file:///x/src/one.ts";
const at = (word: string): number => text.indexOf(word);

function scriptWhere(
  counts: { one: number; two: number },
  length = text.length + `\n\n//# sourceURL=${url}`.length,
) {
  const range = (startOffset: number, endOffset: number, count: number) => ({
    ranges: [{ startOffset, endOffset, count }],
  });
  const functions = [
    range(0, length, 1),
    range(at("function one"), at("export function two") - 1, counts.one),
    range(at("function two"), text.length - 1, counts.two),
  ];
  return { url, functions };
}

for (const { name, scripts, covered } of [
  { name: "a file that nobody loaded", scripts: [], covered: 0 },
  { name: "one function of two", scripts: [scriptWhere({ one: 1, two: 0 })], covered: 3 },
  {
    name: "one function in each of two processes",
    scripts: [scriptWhere({ one: 1, two: 0 }), scriptWhere({ one: 0, two: 1 })],
    covered: 4,
  },
  { name: "another source", scripts: [scriptWhere({ one: 1, two: 1 }, 7)], covered: 0 },
]) {
  test(`coverage of ${name}: ${covered} of 4 lines with code on them`, () => {
    const source = new SourceLines("src/one.ts", text);
    for (const script of scripts) source.add(script);
    assert.deepEqual(source.coverage(), { file: "src/one.ts", lines: 4, covered });
  });
}

test("coverage is told in one line, and one for each file below 80 %", () => {
  const files = [
    { file: "src/good.ts", lines: 10, covered: 8 },
    { file: "src/bad.ts", lines: 10, covered: 7 },
    { file: "src/types.ts", lines: 0, covered: 0 },
  ];
  assert.equal(
    describeCoverage(files),
    "    75 % of the 20 lines of src/; 1 of 3 files are below 80 %\n" +
      "     70 % src/bad.ts (10 lines)\n",
  );
});

test("coverage is collected of what is started meanwhile, also in a second round", async () => {
  await using root = await scratch();
  const source = path.join(root.path, "src/one.ts");
  mkdirSync(path.dirname(source));
  writeFileSync(source, text.replace(/^import.*$/m, ""));
  const callThere = (name: string): void => {
    const script = `import(${JSON.stringify(pathToFileURL(source).href)}).then((m) => m.${name}())`;
    assert.equal(spawnSync(process.execPath, ["-e", script]).status, 0);
  };
  const before = process.env["NODE_V8_COVERAGE"];
  using run = new CoverageRun(path.join(root.path, "build"));
  const covered = () => run.measure(root.path).map((file) => file.covered);
  callThere("one");
  assert.deepEqual(covered(), [0]);
  for (const [name, lines] of [
    ["one", 3],
    ["two", 4],
  ] as const) {
    using _collecting = run.collect();
    callThere(name);
    assert.deepEqual(covered(), [lines]);
  }
  assert.equal(process.env["NODE_V8_COVERAGE"], before);
});
