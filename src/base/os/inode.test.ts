// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, fstatSync, mkdtempSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { removeFolderSync } from "../remove-folder.ts";
import { setTimesOf } from "./inode.ts";

test("times of an open file are set as given, also before 1970", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "berth-times-"));
  const fd = openSync(path.join(folder, "file"), "wx");
  try {
    for (const seconds of [-5, 0, 77]) {
      for (const nanos of [0, 5]) {
        setTimesOf(fd, { seconds, nanos }, { seconds: -seconds, nanos });
        const { atimeNs, mtimeNs } = fstatSync(fd, { bigint: true });
        const expected = [seconds, -seconds].map(
          (each) => BigInt(each) * 10n ** 9n + BigInt(nanos),
        );
        assert.deepEqual([atimeNs, mtimeNs], expected);
      }
    }
  } finally {
    closeSync(fd);
    removeFolderSync(folder);
  }
});
