// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { refuseLack } from "./arm64-needs.ts";
import { run } from "./run.ts";

const guest = path.resolve(import.meta.dirname, "../arm64-vm/guest.sh");

test("what the emulated arm64 machine needs is refused where it lacks, by its name", () => {
  const needs = () => refuseLack(["no-such-emulator"], "x64");
  assert.throws(needs, /^Error: npm run test:arm64 needs (root|.*no-such-emulator)/);
  assert.throws(() => refuseLack([], "arm64"), /on an x64 one, and this is arm64/);
});

test("a daemon or a process that was not there has not ended", async () => {
  const text = readFileSync(guest, "utf8");
  const ended = /^ended\(\) \{\n.*?^\}$/ms.exec(text)?.[0] ?? "";
  const gone = /^gone\(\) .*$/m.exec(text)?.[0] ?? "";
  const world = "pgrep() { return 1; }; pod() { return 0; }; process=";
  for (const [name, definition] of Object.entries({ ended, gone })) {
    const { code } = await run("bash", ["-c", `${definition}\n${world}\n${name}`]);
    assert.equal(code, 1, name);
  }
});
