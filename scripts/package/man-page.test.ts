// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildBerth } from "../../src/cli/berth-program.ts";
import { configPage } from "./config-page.ts";
import { manPage } from "./man-page.ts";
import { aroundBerth } from "./man-texts.ts";

test("a manual page has every command, and no line that roff would take for a request", () => {
  const program = buildBerth({ out: () => {}, error: () => {}, env: {} });
  const text = manPage(program, { version: "1.2.3", seconds: 0, ...aroundBerth });
  for (const command of ["status", "pod ls", "exec", "run", "image pull", "port\\-forward"]) {
    assert.ok(text.includes(`\n.SS ${command} `), command);
  }
  assert.ok(!text.includes("\n.SS complete "), "it is hidden");
  assert.deepEqual(strangeRequests(text), []);
  assert.deepEqual(
    text.match(/[^\t\n -~]/g),
    null,
    "groff warns of other signs where the locale is C",
  );
  const explained = text.split("\n").filter((line) => line.startsWith(".B \\-\\-timeout "));
  assert.equal(explained.length, 1, "options of all commands are explained once");
  for (const heading of ["EXAMPLES", "ENVIRONMENT", "FILES", "EXIT STATUS"]) {
    assert.ok(text.includes(`\n.SH ${heading}\n`), heading);
  }
  assert.ok(text.startsWith('.TH BERTH 1 1970-01-01 "berth 1.2.3"\n'));
});

test("the configuration's page has every table and key, with its default", () => {
  const text = configPage({ version: "1.2.3", seconds: 0 });
  for (const line of [
    ".SS [grpc]",
    ".SS [runtime.handlers.NAME]",
    '.BR max_concurrent_downloads " (a whole number from 1 to 64; default 3)"',
    '.BR root " (path; default \\(dq/var/lib/berthd\\(dq)"',
  ]) {
    assert.ok(text.includes(`\n${line}\n`), line);
  }
  assert.deepEqual(strangeRequests(text), []);
  assert.deepEqual(
    text.match(/[^\t\n -~]/g),
    null,
    "groff warns of other signs where the locale is C",
  );
});

function strangeRequests(page: string): string[] {
  const requests = page.split("\n").filter((line) => /^[.']/.test(line));
  return requests.filter((line) => !/^\.(TH|SH|SS|TP|PP|BR?|I|nf|fi)( |$)/.test(line));
}
