// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { flawsOf, runtimeFlaws } from "./runtime-flaws.ts";

const of2025 = ["CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"];
const cases: readonly (readonly [program: string, version: string, ids: readonly string[]])[] = [
  ["runc", "1.1.5+ds1", ["CVE-2024-21626", "CVE-2024-45310", ...of2025, "CVE-2026-41579"]],
  ["runc", "1.1.12", ["CVE-2024-45310", ...of2025, "CVE-2026-41579"]],
  ["runc", "1.1.15", [...of2025, "CVE-2026-41579"]],
  ["runc", "1.2.0-rc.2", ["CVE-2024-45310", ...of2025, "CVE-2026-41579"]],
  ["runc", "1.2.7", [...of2025, "CVE-2026-41579"]],
  ["runc", "1.2.9", ["CVE-2026-41579"]],
  ["runc", "1.3.2", [...of2025, "CVE-2026-41579"]],
  ["runc", "1.3.6", []],
  ["runc", "1.4.0-rc.2", [...of2025, "CVE-2026-41579"]],
  ["runc", "1.4.0", ["CVE-2026-41579"]],
  ["runc", "1.4.3", []],
  ["runc", "1.5.0-rc.1", ["CVE-2026-41579"]],
  ["runc", "1.5.1", []],
  ["runc", "2.0.0", []],
  ["runc", "unknown", []],
  ["crun", "1.8.1", ["CVE-2025-24965"]],
  ["crun", "1.20", []],
  ["youki", "0.1.0", []],
  ["constructor", "0.1.0", []],
];

for (const [program, version, ids] of cases) {
  test(`${program} ${version} has ${ids.length} known flaws`, () => {
    assert.deepEqual(
      flawsOf(program, version).map(({ id }) => id),
      ids,
    );
  });
}

test("runc 1.0.0-rc6 has the flaws of before 1.0, and none that came later", () => {
  const ids = flawsOf("runc", "1.0.0~rc6+dfsg1").map(({ id }) => id);
  assert.ok(ids.includes("CVE-2019-5736") && ids.includes("CVE-2025-52565"));
  assert.ok(!ids.includes("CVE-2023-27561") && !ids.includes("CVE-2024-21626"));
});

test("each fix is a version, the oldest line's first", () => {
  for (const flaw of Object.values(runtimeFlaws).flat()) {
    assert.match(flaw.id, /^CVE-\d{4}-\d{4,}$/);
    assert.ok(flaw.fixedIn.length > 0);
    for (const version of flaw.fixedIn) assert.match(version, /^\d+\.\d+(\.\d+(-rc\.?\d+)?)?$/);
  }
});
