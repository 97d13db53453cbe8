// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RememberedFiles } from "./remembered-files.ts";

describe("RememberedFiles", () => {
  it("knows a file by its layers, also one that is not there", () => {
    const files = new RememberedFiles();
    const both = ["/2/fs", "/1/fs"];
    files.keep(both, "/etc/passwd", Buffer.from("root"));
    files.keep(both, "/etc/group", undefined);
    assert.deepEqual(files.get(both, "/etc/passwd"), { bytes: Buffer.from("root") });
    assert.deepEqual(files.get(both, "/etc/group"), { bytes: undefined });
    assert.equal(files.get(["/1/fs"], "/etc/passwd"), undefined);
  });

  it("forgets what was used longest ago", () => {
    const files = new RememberedFiles();
    for (let i = 0; i < 600; i++) {
      files.keep([`/${i}/fs`], "/a", undefined);
      assert.ok(files.get(["/0/fs"], "/a"));
    }
    assert.equal(files.get(["/1/fs"], "/a"), undefined);
    assert.ok(files.get(["/599/fs"], "/a"));
  });
});
