// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { listenUnix } from "../../base/os/unix-listener.ts";
import { removeDeadSocket } from "./dead-socket.ts";

test("removeDeadSocket removes a socket that nobody serves, and nothing else", async () => {
  await using place = await scratch();
  const dead = `${place.path}/dead`;
  closeSync(listenUnix(dead));
  const served = `${place.path}/served`;
  const server = net.createServer().listen(served);
  const file = `${place.path}/file`;
  writeFileSync(file, "somebody's");
  const folder = `${place.path}/folder`;
  mkdirSync(folder);
  try {
    for (const one of [dead, served, file, folder, `${place.path}/none`])
      await removeDeadSocket(one);
    assert.ok(!existsSync(dead));
    assert.ok(existsSync(served));
    assert.equal(readFileSync(file, "utf8"), "somebody's");
    assert.ok(existsSync(folder));
  } finally {
    server.close();
  }
});
