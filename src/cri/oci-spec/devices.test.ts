// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { specOf, testRefusals } from "../../../test/support/spec-input.ts";
import { deviceNumbers } from "./devices.ts";

test("a device brings its node and its rule, links resolved", async () => {
  await using place = await scratch();
  const link = path.join(place.path, "null");
  await symlink("/dev/null", link);
  const { linux } = await specOf({
    config: { devices: [{ hostPath: link, containerPath: "/dev/nil", permissions: "rw" }] },
  });
  assert.deepEqual(
    linux.devices?.map(({ path: at, type, major, minor }) => ({ at, type, major, minor })),
    [{ at: "/dev/nil", type: "c", major: 1, minor: 3 }],
  );
  assert.deepEqual(linux.resources.devices, [
    { allow: false, access: "rwm" },
    { allow: true, type: "c", access: "rw", major: 1, minor: 3 },
  ]);
});

test("a folder stands for the devices below it", async () => {
  const { linux } = await specOf({
    config: { devices: [{ hostPath: "/dev/net", containerPath: "/dev/mine" }] },
  });
  for (const { path: at } of linux.devices ?? []) assert.match(at, /^\/dev\/mine\//);
});

test("a privileged container gets the host's devices and may use all", async () => {
  const privileged = { linux: { securityContext: { privileged: true } } };
  const { linux } = await specOf({ pod: privileged, config: privileged });
  assert.ok(linux.devices?.some(({ path: at }) => at === "/dev/null"));
  assert.ok(!linux.devices?.some(({ path: at }) => at.startsWith("/dev/pts/")));
  assert.deepEqual(linux.resources.devices, [{ allow: true, access: "rwm" }]);
});

test("deviceNumbers splits large numbers", () => {
  assert.deepEqual(deviceNumbers(0x803), { major: 8, minor: 3 });
  assert.deepEqual(deviceNumbers(0x10305), { major: 259, minor: 5 });
  assert.deepEqual(deviceNumbers(0x100800), { major: 8, minor: 256 });
});

const refuse = (name: string, device: object, message: RegExp) => ({
  name,
  changes: { config: { devices: [{ hostPath: "/dev/null", ...device }] } },
  code: "INVALID_ARGUMENT" as const,
  message,
});

testRefusals([
  refuse(
    "a device that is not there",
    { hostPath: "/dev/none" },
    /devices\[0\]\.host_path: cannot use "\/dev\/none": ENOENT/,
  ),
  refuse("a file as device", { hostPath: "/etc/passwd" }, /is neither a device nor a directory/),
  refuse("a relative device", { hostPath: "null" }, /is not an absolute path/),
  refuse("a relative place for it", { containerPath: "null" }, /container_path: "null"/),
  refuse("bad permissions", { permissions: "rx" }, /permissions: "rx"/),
  refuse("a permission twice", { permissions: "rr" }, /permissions: "rr"/),
]);
