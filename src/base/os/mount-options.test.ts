// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { relativeLowerDirs } from "./mount.ts";
import { MountFlag, mountOptions } from "./mount-options.ts";
import { parseMountinfo } from "./mountinfo.ts";

const f = MountFlag;
const cases: { name: string; options: string[]; flags: number; data: string }[] = [
  { name: "nothing", options: [], flags: 0, data: "" },
  {
    name: "read-only bind",
    options: ["rbind", "ro"],
    flags: f.bind | f.recursive | f.readOnly,
    data: "",
  },
  { name: "the later word wins", options: ["ro", "rw"], flags: 0, data: "" },
  {
    name: "unknown words are data",
    options: ["nosuid", "size=1m", "mode=755"],
    flags: f.noSuid,
    data: "size=1m,mode=755",
  },
  {
    name: "overlay",
    options: ["index=off", "lowerdir=/a:/b"],
    flags: 0,
    data: "index=off,lowerdir=/a:/b",
  },
  { name: "propagation", options: ["rslave"], flags: f.slave | f.recursive, data: "" },
  { name: "words of Object's prototype", options: ["constructor"], flags: 0, data: "constructor" },
  { name: "empty words and defaults", options: ["", "defaults"], flags: 0, data: "" },
];

for (const { name, options, flags, data } of cases) {
  test(`mountOptions: ${name}`, () => assert.deepEqual(mountOptions(options), { flags, data }));
}

test("relativeLowerDirs shortens to the folder that all layers share", () => {
  const long = "index=off,lowerdir=/v/s/12/fs:/v/s/3/fs,upperdir=/v/s/20/fs";
  assert.deepEqual(relativeLowerDirs(long), {
    base: "/v/s",
    data: "index=off,lowerdir=12/fs:3/fs,upperdir=/v/s/20/fs",
  });
  assert.equal(relativeLowerDirs("lowerdir=/a/x:/b/y"), undefined);
  assert.equal(relativeLowerDirs("size=1m"), undefined);
});

test("parseMountinfo reads optional fields and escaped paths", () => {
  const text = [
    "36 35 98:0 /mnt1 /a\\040b\\303\\244 rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue",
    "37 36 0:5 / /proc rw - proc proc rw",
    "garbage",
    "",
  ].join("\n");
  assert.deepEqual(parseMountinfo(text), [
    {
      id: 36,
      parentId: 35,
      device: "98:0",
      root: "/mnt1",
      mountPoint: "/a bä",
      options: ["rw", "noatime"],
      propagation: ["shared:1", "master:2"],
      type: "ext3",
      source: "/dev/root",
      superOptions: ["rw", "errors=continue"],
    },
    {
      id: 37,
      parentId: 36,
      device: "0:5",
      root: "/",
      mountPoint: "/proc",
      options: ["rw"],
      propagation: [],
      type: "proc",
      source: "proc",
      superOptions: ["rw"],
    },
  ]);
});
