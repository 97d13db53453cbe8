// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { assertReachable } from "./reachable.ts";

test("a folder is out of reach below one that only root may enter", async (t) => {
  const home = mkdtempSync(path.join(os.tmpdir(), "berth reach "));
  t.after(() => removeFolderSync(home));
  const folder = path.join(home, "root");
  mkdirSync(folder);
  chmodSync(folder, 0o711); // whatever the umask
  await assert.rejects(assertReachable(folder), {
    code: "FAILED_PRECONDITION",
    message: `a pod with a user namespace cannot get to "${folder}": "${home}" has mode 0700 and needs 0711`,
  });
  chmodSync(home, 0o711);
  await assertReachable(folder);
});
