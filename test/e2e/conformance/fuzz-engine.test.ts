// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fuzzOne, replay } from "../../fuzz/engine/fuzz-one.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const file = path.join(root, "test/support/planted-faults.ts");
const options = { seed: 7, runs: 100_000, seconds: 600 };

interface Planted {
  readonly name: string;
  readonly problem: RegExp;
  readonly says: RegExp;
  /** The input that is kept; a fault that ends the process is not made shorter. */
  readonly input: RegExp;
  /** False for what no single input does. */
  readonly repeats?: false;
}

const faults: readonly Planted[] = [
  { name: "throws", problem: /^threw$/, says: /TypeError: no function/, input: /^.*:\d.*:.*$/ },
  { name: "loops", problem: /^hangs$/, says: /ms of processor time/, input: /!/ },
  { name: "waits", problem: /^hangs$/, says: /asleep/, input: /!/ },
  { name: "rejects", problem: /^late$/, says: /nobody listens/, input: /^!$/ },
  {
    name: "grows",
    problem: /^(ended|hangs)$/,
    says: /heap out of memory|processor time/,
    input: /!/,
  },
  { name: "leaks", problem: /^memory$/, says: /MiB of memory/, input: /^/, repeats: false },
  { name: "asks", problem: /^threw$/, says: /ask for 3\d+ bytes/, input: /^!$/ },
  { name: "escapes", problem: /^outside$/, says: /other/, input: /!/ },
  { name: "spoils", problem: /^outside$/, says: /nobody writes here[^]*!/, input: /!/ },
  { name: "exits", problem: /^ended$/, says: /exit code 0/, input: /!/ },
];

for (const { name, problem, says, input, repeats = true } of faults) {
  test(`the fuzzer finds a parser that ${name}, and keeps the input`, async () => {
    const { fault, executed } = await fuzzOne(`${file}#${name}`, options);
    assert.ok(fault, `nothing found in ${executed} inputs`);
    const kept = path.join(root, fault.file);
    try {
      assert.match(fault.problem, problem, fault.text);
      assert.match(fault.text, says);
      assert.match(readFileSync(kept, "latin1"), input);
      assert.equal(fault.repeats, repeats, "whether the input alone shows it again");
      if (repeats) assert.match((await replay(`${file}#${name}`, kept)) ?? "", says);
    } finally {
      rmSync(kept, { force: true });
    }
  });
}

test("the fuzzer lets a sound parser pass, and makes the same inputs of the same seed", async () => {
  const few = { ...options, runs: 20_000 };
  const runs = [await fuzzOne(`${file}#sound`, few), await fuzzOne(`${file}#sound`, few)];
  assert.deepEqual(
    runs.map(({ fault }) => fault),
    [undefined, undefined],
  );
  assert.deepEqual(runs[0]?.search, runs[1]?.search);
  assert.ok((runs[0]?.search?.kept ?? 0) > 20, "it finds its way into the code");
});
