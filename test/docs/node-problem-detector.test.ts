// SPDX-License-Identifier: Apache-2.0
// deploy/node-problem-detector: what a custom plugin must answer, with programs in place of berth.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, suite, test } from "node:test";
import { removeFolderSync } from "../../src/base/remove-folder.ts";

const folder = path.resolve(import.meta.dirname, "../../deploy/node-problem-detector");
const home = mkdtempSync(path.join(os.tmpdir(), "berth-npd-"));
after(() => removeFolderSync(home));

function check(verb: string, berth: string | undefined): readonly [number | null, string] {
  const program = path.join(home, "berth");
  if (berth !== undefined) writeFileSync(program, `#!/bin/sh\n${berth}\n`, { mode: 0o755 });
  const env = { PATH: "/usr/bin:/bin", BERTH: berth === undefined ? "/no/berth" : program };
  const { status, stdout } = spawnSync(path.join(folder, "check-berth"), [verb], { env });
  return [status, stdout.toString()];
}

suite("check-berth", () => {
  const refused =
    'echo "berth: cannot reach berthd on /run: is it there?" >&2; echo hint >&2; exit 1';
  const findings =
    "echo 'warning  disk: full soon'; echo 'error    cni: none'; echo 'error    x'; exit 1";
  const cases: readonly (readonly [string, string, string | undefined, number, RegExp])[] = [
    ["says that all is well", "status", "echo table; exit 0", 0, /^berthd is ready\n?$/],
    [
      "says why it is not",
      "status",
      refused,
      1,
      /^cannot reach berthd on \/run: is it there\?\n?$/,
    ],
    ["says that berth is missing", "status", undefined, 2, /^there is no \/no\/berth here\n?$/],
    ["tells the doctor's first error", "doctor", findings, 1, /^cni: none\n?$/],
    ["tells that there is none", "doctor", "exit 0", 0, /^berth doctor finds no error\n?$/],
    ["cannot tell where it breaks", "doctor", "exit 70", 2, /did not end/],
    ["knows no other verb", "other", "exit 0", 2, /^usage/],
    [
      "keeps to one short line without control characters",
      "status",
      `printf 'berth: \\033[2Jevil${"x".repeat(500)}\\nmore' >&2; exit 1`,
      1,
      /^\[2Jevilx{73}\n?$/,
    ],
  ];
  for (const [what, verb, berth, status, says] of cases) {
    test(what, () => {
      const [code, line] = check(verb, berth);
      assert.equal(code, status, line);
      assert.match(line, says);
    });
  }

  test("is what the configurations run, the doctor seldom: it may ask the API server", () => {
    const runs = ["berth.json", "berth-doctor.json"].map((file) => {
      const { pluginConfig, rules } = JSON.parse(readFileSync(path.join(folder, file), "utf8")) as {
        pluginConfig: { invoke_interval: string };
        rules: { path: string; args: string[] }[];
      };
      for (const rule of rules) assert.equal(path.basename(rule.path), "check-berth");
      return [pluginConfig.invoke_interval, ...rules.flatMap(({ args }) => args)];
    });
    assert.deepEqual(runs, [
      ["30s", "status"],
      ["10m", "doctor"],
    ]);
  });
});
