// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { completionScripts, completions } from "./completion.ts";
import { buildBerth } from "./program.ts";

const io = { out: () => {}, error: () => {}, env: {} };
const names = {
  task: ["t1", "t2"],
  container: ["c1"],
  namespace: ["dev", "k8s.io"],
  image: ["a:1"],
};

const cases: readonly { words: readonly string[]; wants: readonly string[] }[] = [
  { words: ["contain"], wants: ["container"] },
  { words: ["task", "pa"], wants: ["pause"] },
  { words: ["--json", "-n", "dev", "task", "res"], wants: ["resume"] },
  { words: ["task", "kill", ""], wants: ["t1", "t2"] },
  { words: ["task", "kill", "--exec-id", "x", "t2"], wants: ["t2"] },
  { words: ["task", "kill", "t1", ""], wants: [] },
  { words: ["container", "rm", "c0", ""], wants: ["c1"] },
  { words: ["container", "create", "a:1", ""], wants: [] },
  { words: ["run", ""], wants: ["a:1"] },
  { words: ["run", "--rm", "a:1", ""], wants: [] },
  { words: ["task", "ls", "-n", "d"], wants: ["dev"] },
  { words: ["ns", "rm", ""], wants: ["dev", "k8s.io"] },
  { words: ["completion", ""], wants: ["bash", "fish", "zsh"] },
  { words: ["task", "start", "--nul"], wants: ["--null-io"] },
  { words: ["compl"], wants: ["completion"] },
];
for (const { words, wants } of cases) {
  test(`completions of "berth ${words.join(" ")}"`, async () => {
    const found = await completions(buildBerth(io), words, async (kind) => names[kind]);
    assert.deepEqual(found, wants);
  });
}

test("every shell's script asks berth for the words", () => {
  for (const script of Object.values(completionScripts)) assert.match(script, /berth complete -- /);
});
