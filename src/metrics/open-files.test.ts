// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, openSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { countOpenFiles, openFilesLimit, parseOpenFilesLimit } from "./open-files.ts";

/** Since 6.2 the kernel tells how many descriptors a process has. */
const tells = statSync("/proc/self/fd").size > 0;

test("counts descriptors and sockets of a process, and none of one that is gone", async () => {
  const before = countOpenFiles([process.pid]);
  const files = Array.from({ length: 50 }, () => openSync("/dev/null", "r"));
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  try {
    const during = countOpenFiles([process.pid, 2 ** 22 + 1]);
    assert.ok(during.descriptors - before.descriptors >= 45, "the loop may open and close some");
    assert.ok(during.sockets > before.sockets);
  } finally {
    for (const file of files) closeSync(file);
    server.close();
  }
  assert.deepEqual(countOpenFiles([2 ** 22 + 1]), { descriptors: 0, sockets: 0 });
});

test("looks at few descriptors of a process, however many it has", { skip: !tells }, async () => {
  const files = Array.from({ length: 200 }, () => openSync("/dev/null", "r"));
  const servers = Array.from({ length: 8 }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  try {
    const { descriptors, sockets } = countOpenFiles([process.pid], 3);
    assert.ok(descriptors >= 200, "all are counted");
    assert.ok(sockets <= 3, "and three looked at");
  } finally {
    for (const file of files) closeSync(file);
    for (const server of servers) server.close();
  }
});

test("reads the soft limit", () => {
  assert.ok((openFilesLimit(process.pid) ?? 0) > 0);
  assert.equal(openFilesLimit(2 ** 22 + 1), undefined);
  const line = "Max open files            unlimited            524288               files     \n";
  assert.equal(parseOpenFilesLimit(line), undefined);
});
