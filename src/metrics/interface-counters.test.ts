// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNetDev } from "./interface-counters.ts";

const line = (name: string): string => `${name}: 1 1 1 1 0 0 0 0 1 1 1 1 0 0 0 0\n`;
const many = Array.from({ length: 500 }, (_, at) => `veth${at}`);
const firsts = (count: number): string[] => many.slice(0, count);

const cases = [
  { what: "the first 64 of many", names: many, told: firsts(64) },
  {
    what: "eth0 where it is not among the first",
    names: [...many, "eth0"],
    told: ["eth0", ...firsts(63)],
  },
  {
    what: "eth0 in its place where it is",
    names: ["lo", "eth0", ...many],
    told: ["eth0", ...firsts(63)],
  },
];

for (const { what, names, told } of cases) {
  test(`parseNetDev answers ${what}`, () => {
    const text = `h\n h2\n${names.map(line).join("")}`;
    assert.deepEqual(
      parseNetDev(text).map(({ name }) => name),
      told,
    );
  });
}
