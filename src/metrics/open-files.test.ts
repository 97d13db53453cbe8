// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { countOpenFiles, openFilesLimit, parseOpenFilesLimit } from "./open-files.ts";

test("counts descriptors and sockets of a process, and none of one that is gone", async () => {
  const before = await countOpenFiles([process.pid]);
  const files = Array.from({ length: 50 }, () => openSync("/dev/null", "r"));
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  try {
    const during = await countOpenFiles([process.pid, 2 ** 22 + 1]);
    assert.ok(during.descriptors - before.descriptors >= 45, "the loop may open and close some");
    assert.ok(during.sockets > before.sockets);
  } finally {
    for (const file of files) closeSync(file);
    server.close();
  }
  assert.deepEqual(await countOpenFiles([2 ** 22 + 1]), { descriptors: 0, sockets: 0 });
});

test("reads the soft limit", async () => {
  assert.ok(((await openFilesLimit(process.pid)) ?? 0) > 0);
  assert.equal(await openFilesLimit(2 ** 22 + 1), undefined);
  const line = "Max open files            unlimited            524288               files     \n";
  assert.equal(parseOpenFilesLimit(line), undefined);
});
