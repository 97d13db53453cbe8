// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { namesForAnswer, readNames, writeNames } from "./name-list.ts";

const times = (count: number, name: (at: number) => string): string[] =>
  Array.from({ length: count }, (_, at) => name(at));

const lists: readonly { what: string; names: readonly string[]; isTold: boolean }[] = [
  { what: "nothing", names: [], isTold: true },
  { what: "the root", names: [""], isTold: true },
  { what: "sixteen names", names: times(16, (at) => `folder-${at}`), isTold: true },
  { what: "seventeen names", names: times(17, (at) => `folder-${at}`), isTold: false },
  { what: "4096 bytes", names: ["x".repeat(4095), "y"], isTold: true },
  { what: "4097 bytes", names: ["x".repeat(4096), "y"], isTold: false },
  {
    what: "every byte but NUL",
    names: times(255, (at) => String.fromCharCode(at + 1)),
    isTold: false,
  },
  {
    what: "names across the pieces in which a list is read",
    names: times(3000, (at) => `${at}-${"n".repeat(at % 100)}`),
    isTold: false,
  },
];

for (const { what, names, isTold } of lists) {
  test(`a list of ${what} is ${isTold ? "told, and " : ""}read as it was written`, async () => {
    assert.deepEqual(namesForAnswer(names), isTold ? names : undefined);
    await using home = await scratch();
    const file = path.join(home.path, "names");
    let steps = 0;
    writeNames(file, names, () => {
      steps += 1;
    });
    assert.ok(steps > 0);
    assert.equal(
      readFileSync(file).length,
      names.reduce((sum, name) => sum + name.length + 1, 0),
    );
    assert.deepEqual([...readNames(file)], names);
    assert.throws(() => writeNames(file, names, () => {}), { code: "EEXIST" });
  });
}

test("a list of more than 64 MiB is refused before it is written", async () => {
  await using home = await scratch({ inMemory: true });
  const file = path.join(home.path, "names");
  const mib = 1024 * 1024;
  function* endless(): Generator<string> {
    for (;;) yield "x".repeat(mib - 1);
  }
  assert.throws(() => writeNames(file, endless(), () => {}), { code: "RESOURCE_EXHAUSTED" });
  assert.equal(readFileSync(file).length, 64 * mib);
});
