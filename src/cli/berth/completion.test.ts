// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { buildBerth } from "../berth-program.ts";
import { completionScripts, completions } from "./completion.ts";

const io = { out: () => {}, error: () => {}, env: {} };
const names = {
  task: ["t1", "t2"],
  container: ["c1"],
  namespace: ["dev", "k8s.io"],
  image: ["a:1"],
  podContainer: ["main", "side"],
  pod: ["web"],
  podId: ["4f1c"],
  nriPlugin: ["10-pinning", "20-logger"],
};

const cases: readonly { words: readonly string[]; wants: readonly string[] }[] = [
  { words: ["contain"], wants: ["container"] },
  { words: ["task", "pa"], wants: ["pause"] },
  { words: ["--json", "-n", "dev", "task", "res"], wants: ["resume"] },
  { words: ["task", "kill", ""], wants: ["t1", "t2"] },
  { words: ["task", "kill", "--exec-id", "x", "t2"], wants: ["t2"] },
  { words: ["task", "kill", "t1", ""], wants: [] },
  { words: ["nri", ""], wants: ["help", "inspect", "ls"] },
  { words: ["nri", "inspect", "2"], wants: ["20-logger"] },
  { words: ["container", "rm", "c0", ""], wants: ["c1"] },
  { words: ["container", "create", "a:1", ""], wants: [] },
  { words: ["run", ""], wants: ["a:1"] },
  { words: ["run", "--rm", "a:1", ""], wants: [] },
  { words: ["task", "ls", "-n", "d"], wants: ["dev"] },
  { words: ["ns", "rm", ""], wants: ["dev", "k8s.io"] },
  { words: ["completion", ""], wants: ["bash", "fish", "zsh"] },
  { words: ["doctor", "--only", "cni", "clo"], wants: ["clock"] },
  { words: ["doctor", "--only", "cni,clo"], wants: ["cni,clock"] },
  { words: ["doctor", "--only", "cni", "--str"], wants: ["--strict"] },
  { words: ["doctor", "--only", "cni", "--json", "--str"], wants: ["--strict"] },
  { words: ["task", "start", "--nul"], wants: ["--null-io"] },
  { words: ["compl"], wants: ["completion"] },
  { words: ["exec", "-it", "m"], wants: ["main"] },
  { words: ["exec", "main", ""], wants: [] },
  { words: ["logs", ""], wants: ["main", "side"] },
  { words: ["attach", ""], wants: ["main", "side"] },
  { words: ["cp", "./a", "s"], wants: ["side:"] },
  { words: ["port-forward", ""], wants: ["web"] },
  { words: ["pod", "inspect", ""], wants: ["4f1c"] },
  { words: ["ps", "--pod", ""], wants: ["4f1c"] },
  { words: ["help", "port"], wants: ["port-forward"] },
];
for (const { words, wants } of cases) {
  test(`completions of "berth ${words.join(" ")}"`, async () => {
    const found = await completions(buildBerth(io), words, async (kind) => names[kind]);
    assert.deepEqual(found, wants);
  });
}

const bash = [
  {
    line: "berth image rm loc",
    asks: "image rm loc",
    found: "localhost/x:1",
    wants: "localhost/x:1",
  },
  {
    line: "berth image rm localhost/x:",
    asks: "image rm localhost/x:",
    found: "localhost/x:1",
    wants: "1",
  },
  { line: "berth cp ", asks: "cp ", found: "main:", wants: "main:" },
];
for (const { line, asks, found, wants } of bash) {
  test(`bash completes "${line}"`, () => {
    const script = `
      ${completionScripts.bash}
      berth() { asked="\${*:3}"; printf '%s' "$asked" >&3; printf '%s\\n' '${found}'; }
      COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:' COMP_LINE=$1 COMP_POINT=\${#1}
      _berth
      printf '%s' "\${COMPREPLY[*]}"`;
    const asked = path.join(mkdtempSync(path.join(tmpdir(), "berth completion ")), "asked");
    try {
      const told = execFileSync("bash", ["-c", `exec 3>"$2"; ${script}`, "-", line, asked]);
      assert.equal(told.toString(), wants);
      assert.equal(readFileSync(asked, "utf8"), asks);
    } finally {
      removeFolderSync(path.dirname(asked));
    }
  });
}

test("every shell's script asks berth for the words", () => {
  for (const script of Object.values(completionScripts)) assert.match(script, /berth complete -- /);
});
