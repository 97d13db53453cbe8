// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { bundle, filesOf, startedModules } from "./bundle.ts";

const root = path.resolve(import.meta.dirname, "../..");

test("a bundle has a file for each program, and for each thread and child that they start", async () => {
  const started = [...startedModules(root)];
  assert.ok(started.length > 10, started.join(", "));
  assert.deepEqual(
    started.filter((module) => !existsSync(path.join(root, module))),
    [],
  );
  const { files, packages } = await bundle(root);
  for (const name of ["berthd.js", "berth.js", "trees-worker.js", "diff-diff-child.js"]) {
    assert.ok(files.has(name), name);
  }
  const starts = [
    ["berthd.js", "kept-code.js"],
    ["berth.js", "kept-code.js"],
  ] as const;
  const scripts = [["berthd-command", "berthd-serve", "berthd-daemon"], ["berth-command"]] as const;
  for (const name of scripts.flat()) {
    const text = Buffer.from(files.get(`${name}-script.js`) ?? []).toString();
    const start = /^\(function\(module,require,importMeta\)\{"use strict";/;
    assert.match(text, start, "its code can be kept, and is as strict as a module's");
    assert.doesNotMatch(text, /[^\0-\x7f]/, name);
  }
  for (const [index, entries] of starts.entries()) {
    const start: string[] = [...entries, ...(scripts[index] ?? []).map((name) => `${name}.js`)];
    for (const name of start) {
      const text = Buffer.from(files.get(name) ?? []).toString();
      assert.ok(text !== "", name);
      const loaded = [...text.matchAll(/(?:^|[;}\n])(?:import|export)[^"'();]*"\.\/([^"]*)"/g)];
      const names = loaded.map((match) => match[1] ?? "");
      assert.deepEqual(
        names.filter((file) => !start.includes(file)),
        [],
        "a start loads few files",
      );
    }
  }
  const check = [...files].filter(
    ([name, bytes]) => name.startsWith("part-") && Buffer.from(bytes).includes("databaseRefusal"),
  );
  assert.deepEqual(
    check.map(([, bytes]) => Buffer.from(bytes).includes("berthd-daemon")),
    [false],
    "a check of the configuration loads no daemon",
  );
  const texts = [...files.values()].map((bytes) => Buffer.from(bytes).toString());
  for (const text of texts) assert.doesNotMatch(text, /new URL\("[^"]*\.ts"/);
  for (const text of texts) assert.doesNotMatch(text, /(?:^|[;}\n])import[^"'();]*"node:/);
  const named = texts.flatMap((text) => [...text.matchAll(/new URL\("\.\/([\w-]+\.js)"/g)]);
  assert.deepEqual(
    named.map((match) => match[1] ?? "").filter((name) => !files.has(name)),
    [],
  );
  assert.ok(packages.includes("node_modules/@grpc/grpc-js"), packages.join(", "));
  assert.ok(!packages.some((name) => name.includes("koffi")), "koffi has a native part");
  assert.ok(!packages.some((name) => /opentelemetry|proto-loader/.test(name)), "nobody uses them");
});

test("two files of one name are one, or a fault", () => {
  const [one, same, other] = ["a", "a", "b"].map((text) => Buffer.from(text));
  assert.ok(one && same && other);
  assert.deepEqual(
    [
      ...filesOf([
        ["part-1.js", one],
        ["part-1.js", same],
      ]).keys(),
    ],
    ["part-1.js"],
  );
  const differing = [
    ["part-1.js", one],
    ["part-1.js", other],
  ] as const;
  assert.throws(
    () => filesOf(differing),
    /two files of the bundle are called part-1.js, and differ/,
  );
});
