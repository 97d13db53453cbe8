// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import tar from "tar-stream";
import { packFolder, unpackArchive } from "./checkpoint-archive.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth cp-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const call = { signal: new AbortController().signal };

async function collect(chunks: AsyncIterable<unknown>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk as Buffer);
  return Buffer.concat(all);
}

test("a checkpoint's folder survives being packed and unpacked", async () => {
  const from = path.join(folder, "from");
  mkdirSync(path.join(from, "sub"), { recursive: true });
  const pages = Buffer.alloc(300_000, 7);
  writeFileSync(path.join(from, "pages-1.img"), pages);
  writeFileSync(path.join(from, "sub", "core.img"), "core");
  writeFileSync(path.join(from, "empty.img"), "");
  const file = path.join(folder, "a.tar");
  writeFileSync(file, await collect(packFolder(from)));
  const to = path.join(folder, "to");
  await unpackArchive(file, to, call);
  assert.deepEqual(readFileSync(path.join(to, "pages-1.img")), pages);
  assert.equal(readFileSync(path.join(to, "sub", "core.img"), "utf8"), "core");
  assert.equal(readFileSync(path.join(to, "empty.img"), "utf8"), "");
});

const hostile: { name: string; header: Partial<tar.Header> & { name: string } }[] = [
  { name: "a way out", header: { name: "../out.img" } },
  { name: "an absolute name", header: { name: "/tmp/out.img" } },
  { name: "a symlink", header: { name: "link", type: "symlink", linkname: "/etc" } },
  { name: "a device", header: { name: "null", type: "character-device" } },
];
for (const { name, header } of hostile) {
  test(`unpackArchive refuses ${name}`, async () => {
    const pack = tar.pack();
    pack.entry(header, "");
    pack.finalize();
    const file = path.join(folder, "bad.tar");
    writeFileSync(file, await collect(pack));
    const unpack = unpackArchive(file, path.join(folder, "bad"), call);
    await assert.rejects(unpack, { code: "INVALID_ARGUMENT" });
  });
}
