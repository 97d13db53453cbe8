// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { removeFolderSync } from "./remove-folder.ts";
import { sourceRevision } from "./version.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth revision-"));
after(() => removeFolderSync(folder));
const commit = "0123456789abcdef0123456789abcdef01234567";

const cases: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
  ["a branch", { HEAD: "ref: refs/heads/main\n", "refs/heads/main": `${commit}\n` }, commit],
  [
    "a packed branch",
    { HEAD: "ref: refs/heads/main\n", "packed-refs": `# pack-refs\n${commit} refs/heads/main\n` },
    commit,
  ],
  ["a commit without a branch", { HEAD: `${commit}\n` }, commit],
  ["a branch without a commit", { HEAD: "ref: refs/heads/main\n" }, ""],
  ["a copy", {}, ""],
  ["a package", { "../package.json": `{ "version": "1.2.3", "revision": "${commit}" }` }, commit],
];
for (const [index, [what, files, expected]] of cases.entries()) {
  test(`the revision of ${what}`, () => {
    const project = path.join(folder, String(index));
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(project, ".git", name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    assert.equal(sourceRevision(pathToFileURL(`${project}/`)), expected);
  });
}
