// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, stat, symlink } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { allFeatures } from "../../../test/support/spec-input.ts";
import { type FaultCode, isFault } from "../../base/errors.ts";
import { HoldingMounts } from "../../base/os/mount-table.ts";
import { parseMountinfo } from "../../base/os/mountinfo.ts";
import type { MountInit } from "../../gen/cri.gen.ts";
import { codec } from "../../rpc/codec.ts";
import { requestedMounts } from "./requested-mounts.ts";

const table = new HoldingMounts(
  parseMountinfo(
    [
      "1 0 8:1 / / rw - ext4 /dev/a rw",
      "2 1 8:2 / /usr rw shared:1 - ext4 /dev/b rw",
      "3 2 8:3 / /usr/bin rw master:1 - ext4 /dev/c rw",
    ].join("\n"),
  ),
);
const mounts = (list: readonly MountInit[]) =>
  list.map((mount) => codec("runtime.v1.Mount").normalize(mount));
const build = (list: readonly MountInit[], features = allFeatures) =>
  requestedMounts(mounts(list), { features, mountTable: async () => table });

const rows: { name: string; mount: MountInit; options: string[] }[] = [
  { name: "writable", mount: {}, options: ["rbind", "rprivate", "rw"] },
  { name: "read-only", mount: { readonly: true }, options: ["rbind", "rprivate", "ro"] },
  {
    name: "recursive read-only",
    mount: { readonly: true, recursiveReadOnly: true },
    options: ["rbind", "rprivate", "rro"],
  },
  {
    name: "with options, each once and none that its fields say",
    mount: {
      readonly: true,
      mountOptions: ["noexec", "ro", "nosuid", "noexec", "rprivate", "rnoexec"],
    },
    options: ["rbind", "rprivate", "ro", "noexec", "nosuid", "rnoexec"],
  },
  {
    name: "recursive read-only with options for itself",
    mount: { readonly: true, recursiveReadOnly: true, mountOptions: ["nodev", "rro"] },
    options: ["rbind", "rprivate", "rro", "nodev"],
  },
  {
    name: "slave of a shared mount",
    mount: { hostPath: "/usr", propagation: "PROPAGATION_HOST_TO_CONTAINER" },
    options: ["rbind", "rslave", "rw"],
  },
  {
    name: "slave of a slave mount",
    mount: { hostPath: "/usr/bin", propagation: "PROPAGATION_HOST_TO_CONTAINER" },
    options: ["rbind", "rslave", "rw"],
  },
  {
    name: "shared",
    mount: { hostPath: "/usr/lib", propagation: "PROPAGATION_BIDIRECTIONAL" },
    options: ["rbind", "rshared", "rw"],
  },
];

for (const { name, mount, options } of rows) {
  test(`a requested mount is ${name}`, async () => {
    const {
      mounts: [built],
    } = await build([{ containerPath: "/c", hostPath: "/etc", ...mount }]);
    assert.deepEqual(built?.options, options);
    assert.equal(built?.destination, "/c");
  });
}

const options = (...mountOptions: string[]) => ({ mountOptions });
const refusals: {
  name: string;
  mount: MountInit;
  features?: typeof allFeatures;
  code: FaultCode;
  message: RegExp;
}[] = [
  {
    name: "no container path",
    mount: { containerPath: "" },
    code: "INVALID_ARGUMENT",
    message: /^mounts\[0\]\.container_path: is empty/,
  },
  {
    name: "no host path",
    mount: { hostPath: "" },
    code: "INVALID_ARGUMENT",
    message: /^mounts\[0\]\.host_path: is empty/,
  },
  {
    name: "a relative host path",
    mount: { hostPath: "x" },
    code: "INVALID_ARGUMENT",
    message: /"x" is not an absolute path/,
  },
  {
    name: "a host path through a file",
    mount: { hostPath: "/etc/passwd/x" },
    code: "INVALID_ARGUMENT",
    message: /cannot use "\/etc\/passwd\/x": ENOTDIR/,
  },
  {
    name: "slave of a private mount",
    mount: { propagation: "PROPAGATION_HOST_TO_CONTAINER" },
    code: "INVALID_ARGUMENT",
    message: /propagation: "\/etc" is on mount "\/", which is not a shared or slave/,
  },
  {
    name: "shared on a slave mount",
    mount: { hostPath: "/usr/bin", propagation: "PROPAGATION_BIDIRECTIONAL" },
    code: "INVALID_ARGUMENT",
    message: /is on mount "\/usr\/bin", which is not a shared/,
  },
  {
    name: "recursive read-only of a writable mount",
    mount: { recursiveReadOnly: true },
    code: "INVALID_ARGUMENT",
    message: /recursive_read_only: needs readonly/,
  },
  {
    name: "recursive read-only that propagates",
    mount: {
      hostPath: "/usr",
      readonly: true,
      recursiveReadOnly: true,
      propagation: "PROPAGATION_BIDIRECTIONAL",
    },
    code: "INVALID_ARGUMENT",
    message: /needs private mount propagation/,
  },
  {
    name: "recursive read-only without the feature",
    mount: { readonly: true, recursiveReadOnly: true },
    features: { ...allFeatures, recursiveReadOnlyMounts: false },
    code: "FAILED_PRECONDITION",
    message: /handler cannot make recursive read-only/,
  },
  {
    name: "id mappings without the feature",
    mount: { uidMappings: [{ length: 1 }] },
    features: { ...allFeatures, idmapMounts: false },
    code: "FAILED_PRECONDITION",
    message: /uid_mappings: the runtime handler cannot map/,
  },
  ...[
    [
      "an option that is none",
      options("noexec", "fast"),
      /^mounts\[0\]\.mount_options\[1\]: "fast" of/,
    ],
    [
      "an option that undoes another",
      options("noexec", "exec"),
      /\[1\]: "exec" of the mount at "\/c" is not one/,
    ],
    ["an option with a value", options("size=1g"), /"size=1g"/],
    ["an empty option", options(""), /mount_options\[0\]: "" of/],
    [
      "ro for a writable mount",
      options("ro"),
      /"ro" of the mount at "\/c" contradicts .*rbind,rprivate,rw/,
    ],
    ["rw for a read-only mount", { readonly: true, ...options("rw") }, /"rw" .* contradicts/],
    ["rro without its own field", { readonly: true, ...options("rro") }, /"rro" .* contradicts/],
    ["a propagation other than its own", options("rshared"), /"rshared" .* contradicts/],
  ].map(([name, mount, message]) => ({
    name: name as string,
    mount: mount as MountInit,
    code: "INVALID_ARGUMENT" as const,
    message: message as RegExp,
  })),
  {
    name: "an option that the handler does not know",
    mount: options("noexec", "rnosuid"),
    code: "FAILED_PRECONDITION",
    message: /mount_options\[1\]: "rnosuid" of the mount at "\/c" is none that the runtime handler/,
  },
  {
    name: "an image volume nobody provides",
    mount: { image: { image: "x" }, readonly: true },
    code: "UNIMPLEMENTED",
    message: /mounts\[0\]\.image/,
  },
];

for (const { name, mount, features, code, message } of refusals) {
  test(`requestedMounts refuses ${name}`, async () => {
    const wanted = { containerPath: "/c", hostPath: "/etc", ...mount };
    await assert.rejects(build([wanted], features), (error: unknown) => {
      assert.ok(isFault(error, code), String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

test("a missing host path becomes a directory, a link its target", async () => {
  await using place = await scratch();
  const missing = path.join(place.path, "a b", "c");
  const real = await place.folder("real");
  const link = path.join(place.path, "link");
  await symlink(real, link);
  const { mounts: built } = await build([
    { containerPath: "/m", hostPath: missing },
    { containerPath: "/l", hostPath: link },
  ]);
  assert.deepEqual(
    built.map(({ source }) => source),
    [missing, real],
  );
  assert.ok((await stat(missing)).isDirectory());
  await mkdir(path.join(real, "still there"));
});
