// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { removeFolderSync } from "../../src/base/remove-folder.ts";
import { licenceTexts } from "./licences.ts";
import { installedPart, lockedPart, type NpmPart } from "./npm-parts.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth licences-"));
after(() => removeFolderSync(folder));
const root = path.resolve(import.meta.dirname, "../..");

function part(name: string, license: string | undefined, files: Record<string, string>): NpmPart {
  const at = path.join(folder, name);
  mkdirSync(at, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(at, file), text);
  return { name, version: "1.0.0", license: license ?? "", folder: at, integrity: undefined };
}

test("the copyright has our licence first, then each part's own texts, whatever their files are called", () => {
  const text = licenceTexts("OURS", [
    part("one", "MIT", { "LICENSE.md": "one's\n", NOTICE: "one's notice\n", "index.js": "run()" }),
    part("two", "ISC", { licence: "two's", COPYING: "two's copying" }),
    part("three", "BSD-3-Clause OR MIT", {}),
  ]);
  const order = ["OURS", "one 1.0.0: MIT", "one's", "one's notice", "two 1.0.0: ISC"]
    .concat("two's copying", "two's", "three 1.0.0: BSD-3-Clause OR MIT")
    .concat("Its text came with the package that it belongs to.");
  let from = 0;
  for (const words of order) {
    const at = text.indexOf(words, from);
    assert.ok(at >= from, `"${words}" is not behind the one before`);
    from = at + words.length;
  }
  assert.doesNotMatch(text, /run\(\)/);
});

test("a part that says nothing of its licence is refused, with a text or without", () => {
  assert.throws(() => licenceTexts("", [part("none", undefined, {})]), /none has no licence/);
  const withText = part("unnamed", undefined, { LICENSE: "some text" });
  assert.throws(() => licenceTexts("", [withText]), /unnamed has no licence/);
});

test("a licence that does not go with ours is refused", () => {
  for (const license of ["GPL-3.0-only", "UNLICENSED", "SEE LICENSE IN X", "(MIT AND AGPL-3.0)"]) {
    const copyleft = part("copyleft", license, { LICENSE: "text" });
    assert.throws(() => licenceTexts("", [copyleft]), /copyleft is licensed under/, license);
  }
});

test("a part of the lock is the installed one, with the sum that the lock names", async () => {
  const locked = await lockedPart(root, "koffi", folder);
  assert.deepEqual(locked, installedPart(root, "node_modules/koffi"));
  assert.match(locked.integrity ?? "", /^sha512-/);
  await assert.rejects(lockedPart(root, "left-pad", folder), /package-lock\.json has no left-pad/);
});
