// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, suite, test } from "node:test";
import { makeFolder, makeFolderSync } from "./make-folder.ts";
import { removeFolderSync } from "./remove-folder.ts";

const top = mkdtempSync(path.join(os.tmpdir(), "make folder "));
after(() => removeFolderSync(top));

for (const [name, make] of [
  ["makeFolder", makeFolder],
  [
    "makeFolderSync",
    async (folder: string, mode: number) => {
      makeFolderSync(folder, mode);
    },
  ],
] as const) {
  suite(name, () => {
    test("makes parents too, and takes what is there", async () => {
      const folder = path.join(top, name, "a", "b");
      await make(folder, 0o755);
      await make(folder, 0o755);
      assert.ok(statSync(folder).isDirectory());
    });

    test("refuses a path through a file", async () => {
      const file = path.join(top, `${name}-file`);
      writeFileSync(file, "");
      await assert.rejects(make(path.join(file, "a"), 0o755), { code: "ENOTDIR" });
      await assert.rejects(make(file, 0o755), { code: "EEXIST" });
    });

    test("comes back from a place where no folder can be made", async () => {
      await assert.rejects(make("/proc/no/such", 0o755), { code: "ENOENT" });
    });
  });
}
