// SPDX-License-Identifier: Apache-2.0
// The threat model names a test for each of its rows, and the test is there.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { runtimeFlaws } from "../../src/oci/runtime-flaws.ts";
import { namedTests, whyNot } from "./named-tests.ts";
import { page, root } from "./pages.ts";

const model = page("docs/security.md");

interface Row {
  readonly section: string;
  readonly cells: readonly string[];
}

/** The rows of all tables but their heads. */
function rows(text: string): Row[] {
  let section = "";
  const found: Row[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("## ")) section = line.slice(3);
    if (!line.startsWith("|") || /^\|[-|: ]+\|$/.test(line)) continue;
    const cells = line.slice(1, -1).split(/(?<!\\)\|/);
    found.push({ section, cells: cells.map((cell) => cell.trim()) });
  }
  return found.filter(({ cells }) => !["held by", "what it is"].includes(cells.at(-1) ?? ""));
}

const known: readonly (readonly [named: string, is: boolean])[] = [
  ['`test/docs/security.test.ts` "the threat model\'s tests exist"', true],
  ['`test/docs/security.test.ts` "the threat model\'s tests"', false],
  ["`test/docs/security.test.ts`", false],
  ['`test/docs/none.test.ts` "a test"', false],
  ['`test/e2e/image-volumes.test.ts` "refuses an absolute sub path"', true],
  ['`test/e2e/image-volumes.test.ts` "refuses a sub path that was taken off the table"', false],
  ['`src/cri/oci-spec/sysctls.test.ts` "sysctls refuse …"', true],
  ['`test/e2e/advisories.test.ts` "CVE-2026-41579: a link in place of /dev"', true],
  ['`test/e2e/advisories.test.ts` "CVE-2026-00000: nothing"', false],
  ['`test/e2e/advisories.test.ts` "CVE-2024-21626: a working directory of /proc/self/fd/7"', true],
  ['`src/cri/oci-spec/cgroups-path.test.ts` "cgroupsPath of … with cgroupfs"', true],
];

test("a test that is not there is found", () => {
  for (const [named, is] of known) {
    const [found] = namedTests(named);
    assert.equal(found && whyNot(found) === undefined, is, named);
  }
});

test("the threat model's tests exist", () => {
  const missing = namedTests(model.text).map(whyNot).filter(Boolean);
  assert.deepEqual(missing, []);
});

test("each row of the threat model names a test and what does it", () => {
  const all = rows(model.text).filter(({ section }) => section !== "What lies where");
  assert.ok(all.length > 50);
  const without: string[] = [];
  for (const { cells } of all) {
    const name = cells.filter(Boolean)[0] ?? "";
    if (namedTests(cells.at(-1) ?? "").length === 0) without.push(`${name}: no test`);
    const places = [...(cells.at(-2) ?? "").matchAll(/`((?:src|deploy)\/[\w./-]*)`/g)];
    for (const [, place = ""] of places) {
      if (!existsSync(path.join(root, place))) without.push(`${name}: no ${place}`);
    }
  }
  assert.deepEqual(without, []);
});

const advisories = page("docs/advisories.md");

test("the advisories' tests exist", () => {
  const missing = namedTests(advisories.text).map(whyNot).filter(Boolean);
  assert.deepEqual([...new Set(missing)], []);
});

test("each advisory stands once in its section, and says what holds it or why it does not apply", () => {
  const all = rows(advisories.text).filter(({ cells }) => cells[0] !== "advisory");
  assert.ok(all.length > 100);
  const wrong: string[] = [];
  const seen = new Set<string>();
  for (const { section, cells } of all) {
    const [ids = "", , why = ""] = cells;
    if (!/^(CVE-\d{4}-\d{4,}|GHSA-\w{4}-\w{4}-\w{4})/.test(ids)) wrong.push(`${ids}: no advisory`);
    const isHeld = namedTests(why).length > 0;
    if (!isHeld && !/^not applicable: \S/.test(why)) wrong.push(`${ids}: neither reason nor test`);
    for (const [id] of ids.matchAll(/CVE-[\d-]+|GHSA(-\w{4}){3}/g)) {
      // What the specifications let happen was mended by each project under one number.
      if (seen.has(`${section} ${id}`) || (seen.has(id) && id !== "CVE-2021-41190"))
        wrong.push(`${id}: twice`);
      seen.add(id).add(`${section} ${id}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("each known flaw of an OCI runtime has a line among the advisories", () => {
  const ids = Object.values(runtimeFlaws).flatMap((flaws) => flaws.map(({ id }) => id));
  assert.deepEqual(
    ids.filter((id) => !advisories.text.includes(`| ${id} `)),
    [],
  );
});
