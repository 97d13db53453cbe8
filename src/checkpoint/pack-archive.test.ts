// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { makeFifo } from "../base/os/fifo.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { packFolder } from "./folder-tar.ts";
import { packArchive } from "./pack-archive.ts";

const folder = await mkdtemp(path.join(os.tmpdir(), "berth pack-"));
after(() => removeFolderSync(folder));
const call = { signal: AbortSignal.timeout(60_000) };
const from = path.join(folder, "from");
await mkdir(path.join(from, "checkpoint"), { recursive: true });
await writeFile(path.join(from, "checkpoint", "pages-1.img"), Buffer.alloc(3_000_000, 7));

test("packArchive writes what packFolder says, for its owner only, and none of it passes this process", async () => {
  const file = path.join(folder, "a.tar");
  const before = process.memoryUsage().arrayBuffers;
  await packArchive(from, file, call);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const expected: Uint8Array[] = [];
  for await (const chunk of packFolder(from)) expected.push(chunk);
  assert.ok((await readFile(file)).equals(Buffer.concat(expected)));
});

test("packArchive replaces the file that is there only by a whole one", async () => {
  const file = path.join(folder, "b.tar");
  await writeFile(file, "there");
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(packArchive(from, file, { signal }), { message: "enough" });
  assert.equal(await readFile(file, "utf8"), "there");
  await packArchive(from, file, call);
  assert.equal((await stat(file)).size > 3_000_000, true);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.endsWith(".partial")),
    [],
  );
});

const refusals = [
  { what: "a folder that is not there", file: "none/x.tar", errno: "ENOENT" },
  { what: "a file for a folder", file: "from/checkpoint/pages-1.img/x.tar", errno: "ENOTDIR" },
];
for (const { what, file, errno } of refusals) {
  test(`packArchive refuses ${what}, and names the file that was asked for`, async () => {
    const wanted = path.join(folder, file);
    await assert.rejects(packArchive(from, wanted, call), {
      code: "INVALID_ARGUMENT",
      message: `cannot write checkpoint "${wanted}": ${errno}`,
    });
  });
}

test("an abort ends the packing, and leaves nothing", async () => {
  const hanging = path.join(folder, "hanging");
  await mkdir(hanging);
  const out = path.join(folder, "out");
  await mkdir(out);
  makeFifo(path.join(hanging, "fifo"), 0o600);
  for (let i = 0; i < 200; i += 1) await writeFile(path.join(hanging, `${i}.img`), "x".repeat(i));
  const ending = new AbortController();
  const packing = packArchive(hanging, path.join(out, "x.tar"), { signal: ending.signal });
  ending.abort(new Error("enough"));
  await assert.rejects(packing, { message: "enough" });
  assert.deepEqual(await readdir(out), []);
});
