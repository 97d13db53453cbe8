// SPDX-License-Identifier: Apache-2.0
// A thread, the main one too, of which one file is not compiled loads the type stripper, some 30 MB for the daemon's life.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { root } from "./pages.ts";

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

test("what bin/berthd has compiled before the first start are the entries of all threads, and what is imported later", () => {
  const started = globSync("src/**/*.ts", { cwd: root })
    .filter(
      (file) =>
        !file.endsWith(".test.ts") && /\b(startThread|new ParsingThreads)\b/.test(read(file)),
    )
    .flatMap((file) =>
      [...read(file).matchAll(/new URL\("(.+?)", import\.meta\.url\)/g)].map(([, entry = ""]) =>
        path.join(path.dirname(file), entry),
      ),
    );
  const warm = read("src/cli/warm-code.ts");
  const itself = [...warm.matchAll(/import "(.+?)"/g)].map(([, file = ""]) =>
    path.join("src/cli", file),
  );
  const imported = globSync("src/**/*.ts", { cwd: root })
    .filter((file) => !file.endsWith(".test.ts") && file !== "src/cli/warm-code.ts")
    // The client's: no daemon loads it.
    .filter((file) => !/^src\/(?:cli\/(?:berth|streaming)|doctor)\//.test(file))
    .flatMap((file) =>
      [...read(file).matchAll(/\bimport\("(\.\.?\/.+?)"\)/g)].map(([, found = ""]) =>
        path.join(path.dirname(file), found),
      ),
    )
    .filter((file) => !itself.includes(file));
  const list = /const later = \[(.*?)\]/s.exec(warm)?.[1] ?? "";
  const compiled = [...list.matchAll(/"(.+?)"/g)].map(([, entry = ""]) =>
    path.join("src/cli", entry),
  );
  assert.ok(started.length > 5);
  assert.ok(imported.length > 3);
  assert.deepEqual(compiled.toSorted(), [...new Set([...started, ...imported])].toSorted());
});
