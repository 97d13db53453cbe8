// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildBerth } from "../../src/cli/berth-program.ts";
import { manPage } from "./man-page.ts";

test("a manual page has every command, and no line that roff would take for a request", () => {
  const program = buildBerth({ out: () => {}, error: () => {}, env: {} });
  const text = manPage(program, { section: 1, version: "1.2.3", seconds: 0, seeAlso: ["x(8)"] });
  for (const command of ["status", "pod ls", "exec", "run", "image pull", "port\\-forward"]) {
    assert.ok(text.includes(`\n.SS ${command} `), command);
  }
  assert.ok(!text.includes("\n.SS complete "), "it is hidden");
  const requests = text.split("\n").filter((line) => /^[.']/.test(line));
  const known = /^\.(TH|SH|SS|TP|PP|B|I|nf|fi)( |$)/;
  assert.deepEqual(
    requests.filter((line) => !known.test(line)),
    [],
  );
  assert.ok(text.startsWith('.TH BERTH 1 1970-01-01 "berth 1.2.3"\n'));
});
