// SPDX-License-Identifier: Apache-2.0
// A thread of which one file is not compiled loads the type stripper, some 30 MB for the daemon's life.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { root } from "./pages.ts";

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

test("what bin/berthd has compiled before the first start are the entries of all threads", () => {
  const started = globSync("src/**/*.ts", { cwd: root })
    .filter(
      (file) => !file.endsWith(".test.ts") && /new (Worker|ParsingThreads)\b/.test(read(file)),
    )
    .flatMap((file) =>
      [...read(file).matchAll(/new URL\("(.+?)", import\.meta\.url\)/g)].map(([, entry = ""]) =>
        path.join(path.dirname(file), entry),
      ),
    );
  const list = /const threads = \[(.*?)\]/s.exec(read("src/cli/warm-code.ts"))?.[1] ?? "";
  const compiled = [...list.matchAll(/"(.+?)"/g)].map(([, entry = ""]) =>
    path.join("src/cli", entry),
  );
  assert.ok(started.length > 5);
  assert.deepEqual(compiled.toSorted(), [...new Set(started)].toSorted());
});
