// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { suite, test } from "node:test";
import { pathToFileURL } from "node:url";
import { run } from "../../test/support/run.ts";
import { scratch } from "../../test/support/scratch.ts";

const step = pathToFileURL(path.join(import.meta.dirname, "node-test-step.ts")).href;

/** Runs files of these texts as one step, two at once, each with this many seconds at most. */
async function stepOf(
  texts: Readonly<Record<string, string>>,
  { seconds, retriesOverdue = false }: { seconds: number; retriesOverdue?: boolean },
): Promise<string> {
  await using home = await scratch({ prefix: "overdue" });
  for (const [name, text] of Object.entries(texts)) {
    const head =
      'import { after, test } from "node:test";\nimport { spawn } from "node:child_process";\n';
    await writeFile(path.join(home.path, `${name}.test.mjs`), head + text);
  }
  const options = {
    name: "overdue",
    group: "vm",
    globs: [path.join(home.path, "*.test.mjs")],
    concurrency: 2,
    timeoutMs: 60_000,
    fileTimeoutMs: seconds * 1000,
    retriesOverdue,
  };
  const program = `
    import { nodeTestStep } from ${JSON.stringify(step)};
    console.log(JSON.stringify(await nodeTestStep(${JSON.stringify(options)}).run()));`;
  const file = path.join(home.path, "step.mjs");
  await writeFile(file, program);
  const { code, stdout, stderr } = await run(
    "env",
    ["-u", "NODE_TEST_CONTEXT", process.execPath, file],
    { timeoutMs: patienceMs },
  );
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Most of these are a second's work, several Nodes at once on a busy machine. */
const patienceMs = 180_000;
const fine = 'test("fine", () => {});';

suite("a test file whose process does not end", { concurrency: 3, timeout: patienceMs }, () => {
  const cases: Readonly<Record<string, { text: string; told: RegExp; counts: object }>> = {
    "an open handle, when all its tests have passed": {
      text: 'test("passes", () => { setInterval(() => {}, 1000); });',
      told: /What keeps its loop:\n.*"type":"timer"/,
      counts: { passed: 1, failed: 1, skipped: 0 },
    },
    "a hook that waits for ever": {
      text: 'after(() => new Promise(() => { setInterval(() => {}, 1000); }));\ntest("passes", () => {});',
      told: /What keeps its loop:\n.*"type":"timer"/,
      counts: { passed: 1, failed: 1, skipped: 0 },
    },
    "a main thread that is blocked": {
      text: "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
      told: /pid ppid threads state wchan args\n[\s\S]*futex/,
      counts: { passed: 1, failed: 1, skipped: 0 },
    },
    "a grandchild that holds its output": {
      text: 'test("passes", () => { spawn("sleep", ["30"], { stdio: "inherit", detached: true }).unref(); });',
      told: /Its process has ended; what it started holds its output:\n.*\n.* sleep 30/,
      counts: { passed: 2, failed: 1, skipped: 0 },
    },
  };
  for (const [name, { text, told, counts }] of Object.entries(cases)) {
    test(`${name}: it is told and ended, and the files beside and after it count`, async () => {
      const stdout = await stepOf({ bad: text, fine }, { seconds: 6 });
      assert.match(stdout, /HUNG .*bad\.test\.mjs: not ended after 6 s/);
      assert.match(stdout, told);
      assert.match(stdout, /fine\.test\.mjs: 1 passed/);
      assert.deepEqual(JSON.parse(stdout.trim().split("\n").at(-1) ?? ""), counts);
    });
  }

  test("it has a second run, and that is what counts", async () => {
    const once = `import { existsSync, writeFileSync } from "node:fs";
      const mark = new URL("mark", import.meta.url);
      test("passes", () => { if (!existsSync(mark)) setInterval(() => writeFileSync(mark, ""), 100); });`;
    const stdout = await stepOf({ once, fine }, { seconds: 6, retriesOverdue: true });
    assert.match(stdout, /HUNG .*once\.test\.mjs: not ended after 6 s/);
    assert.match(stdout, /once\.test\.mjs: 1 passed/);
    assert.match(stdout, /{"passed":2,"failed":0,"skipped":0}/);
  });

  test("no file's result waits for another's", async () => {
    const slow = 'test("slow", () => new Promise((resolve) => setTimeout(resolve, 6000)));';
    const stdout = await stepOf({ a: slow, b: fine }, { seconds: 60 });
    assert.match(stdout, /b\.test\.mjs: 1 passed[^]*a\.test\.mjs: 1 passed/);
    assert.match(stdout, /{"passed":2,"failed":0,"skipped":0}/);
  });
});
