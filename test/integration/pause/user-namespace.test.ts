// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { holdUserNamespace } from "../../../src/base/os/user-namespace.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";

const program = pauseBinaryPath();
const skip = process.getuid?.() === 0 ? false : "needs root";
const ids = (hostID: number) => [{ containerID: 0, hostID, size: 10 }];
const openFiles = (): number => readdirSync("/proc/self/fd").length;

for (const network of [false, true]) {
  test(`a user namespace is held ${network ? "with" : "without"} a network`, { skip }, async () => {
    const before = openFiles();
    const held = await holdUserNamespace({ program, uids: ids(1000), gids: ids(2000), network });
    const of = (file: string): string => `/proc/${held.pid}/${file}`;
    assert.match(readFileSync(of("uid_map"), "utf8"), /^\s*0\s+1000\s+10\n$/);
    assert.match(readFileSync(of("gid_map"), "utf8"), /^\s*0\s+2000\s+10\n$/);
    assert.notEqual(readlinkSync(of("ns/user")), readlinkSync("/proc/self/ns/user"));
    const hasOwn = readlinkSync(of("ns/net")) !== readlinkSync("/proc/self/ns/net");
    assert.equal(hasOwn, network);
    await held[Symbol.asyncDispose]();
    assert.ok(!existsSync(of("")));
    assert.equal(openFiles(), before);
  });
}

test("a user namespace that cannot be leaves nothing", { skip }, async () => {
  const before = openFiles();
  const request = { uids: ids(4_294_967_290), gids: ids(0), network: true };
  await assert.rejects(holdUserNamespace({ program, ...request }), {
    code: "FAILED_PRECONDITION",
    message: /the kernel refuses the ids "0 4294967290 10"/,
  });
  await assert.rejects(holdUserNamespace({ program: "/no/such", ...request }), { code: "ENOENT" });
  await assert.rejects(holdUserNamespace({ program: "/bin/false", ...request }), {
    code: "FAILED_PRECONDITION",
    message: /cannot make a user namespace: EPERM/,
  });
  assert.equal(openFiles(), before);
});
