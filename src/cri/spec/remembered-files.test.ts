// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { rememberFiles } from "./remembered-files.ts";

function reading(files: Readonly<Record<string, Uint8Array>>): {
  readonly open: ReturnType<typeof rememberFiles>;
  readonly reads: string[];
} {
  const reads: string[] = [];
  const open = rememberFiles((layers) => ({
    readFile: async (path) => {
      reads.push(`${layers.join("+")}${path}`);
      return files[path];
    },
    copyDirectory: async () => false,
  }));
  return { open, reads };
}

describe("rememberFiles", () => {
  it("reads a file of the same layers once, also one that is not there", async () => {
    const { open, reads } = reading({ "/etc/passwd": Buffer.from("root") });
    for (let i = 0; i < 3; i++) {
      const reader = open(["/2/fs", "/1/fs"]);
      assert.equal(String(await reader.readFile("/etc/passwd", 100)), "root");
      assert.equal(await reader.readFile("/etc/group", 100), undefined);
    }
    assert.deepEqual(reads, ["/2/fs+/1/fs/etc/passwd", "/2/fs+/1/fs/etc/group"]);
    await open(["/1/fs"]).readFile("/etc/passwd", 100);
    assert.equal(reads.at(-1), "/1/fs/etc/passwd");
  });

  it("asks again for a file that is longer than the caller takes, and keeps no long ones", async () => {
    const { open, reads } = reading({ "/a": Buffer.alloc(50), "/b": Buffer.alloc(100_000) });
    const reader = open(["/1/fs"]);
    await reader.readFile("/a", 100);
    await reader.readFile("/a", 10);
    await reader.readFile("/b", 1_000_000);
    await reader.readFile("/b", 1_000_000);
    assert.equal(reads.length, 4);
  });

  it("forgets what was used longest ago", async () => {
    const { open, reads } = reading({});
    for (let i = 0; i < 600; i++) {
      await open([`/${i}/fs`]).readFile("/a", 10);
      await open(["/0/fs"]).readFile("/a", 10);
    }
    assert.equal(reads.length, 600);
    await open(["/1/fs"]).readFile("/a", 10);
    assert.equal(reads.length, 601);
  });
});
