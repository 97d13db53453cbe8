// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault, toFault } from "../../base/errors.ts";
import type { OciSpec } from "../../oci/spec.ts";
import type { SpecChange } from "../spec-review.ts";
import { blaming, naming } from "./name-askers.ts";

const spec = {
  mounts: [
    { destination: "/data", source: "/srv/data" },
    { destination: "/data/deep", source: "/srv/deep" },
  ],
  hooks: { prestart: [{ path: "/opt/hook" }] },
} as OciSpec;

const changes: readonly SpecChange[] = [
  { by: "operator", fields: ["process.env", "mounts"] },
  {
    by: "10-a",
    fields: [
      "Mounts /data",
      "Env PATH",
      "MemLimit",
      "Rlimits RLIMIT_NOFILE",
      "Devices /dev/x removed",
    ],
  },
  { by: "20-b", fields: ["Mounts /data/deep", "Sysctl net.core.x", "Args", "HugepageLimits 2MB"] },
  { by: "10-a,20-b", fields: ["OciHooks"] },
];

/** As OCI runtimes put it, and what is said after it. */
const cases: readonly (readonly [message: string, asked: string])[] = [
  [
    'error mounting "/srv/data" to rootfs at "/data": no such file',
    '"10-a" asked for Mounts /data',
  ],
  ["cannot stat `/srv/deep`: No such file", '"20-b" asked for Mounts /data/deep'],
  ["mkdir /run/berthd/x/rootfs/data: read-only file system", '"10-a" asked for Mounts /data'],
  ["open /mnt/data: no such file", ""],
  ['exec: "x": executable file not found in $PATH', '"10-a" asked for Env PATH'],
  ['exec: "x": permission denied', '"20-b" asked for Args'],
  ["unable to set memory limit to 5 (current usage: 9)", '"10-a" asked for MemLimit'],
  ['failed to write "5" to "/sys/fs/cgroup/x/memory.max"', '"10-a" asked for MemLimit'],
  ["setrlimit `RLIMIT_NOFILE`: Operation not permitted", '"10-a" asked for Rlimits RLIMIT_NOFILE'],
  [
    "error setting rlimit type 7: operation not permitted",
    '"10-a" asked for Rlimits RLIMIT_NOFILE',
  ],
  ["open /proc/sys/net/core/x: no such file", '"20-b" asked for Sysctl net.core.x'],
  ["write hugetlb.2MB.max: invalid argument", '"20-b" asked for HugepageLimits 2MB'],
  ["fork/exec /opt/hook: no such file", 's "10-a" and "20-b" asked for OciHooks'],
  ["error running prestart hook #0: exit status 1", 's "10-a" and "20-b" asked for OciHooks'],
  ["mknod /dev/x: operation not permitted", ""],
  ["shim has died", ""],
];
for (const [message, asked] of cases) {
  test(`"${message}" names ${asked || "nobody"}`, () => {
    const told = toFault(naming(fault("UNKNOWN", message), changes, spec));
    assert.equal(
      told.message,
      asked === ""
        ? message
        : `${message}; NRI plugin${asked.startsWith("s") ? asked : ` ${asked}`}`,
    );
    assert.equal(told.code, "UNKNOWN");
  });
}

test("what cannot be carried out is a plugin's in any case, and no bad request", () => {
  const many = { by: "10-a", fields: Array.from({ length: 9 }, (_, at) => `Annotations a${at}`) };
  const told = toFault(blaming(fault("INVALID_ARGUMENT", "it cannot be"), [many]));
  assert.equal(told.code, "FAILED_PRECONDITION");
  assert.equal(
    told.message,
    'it cannot be; NRI plugin "10-a" asked for Annotations a0, Annotations a1, Annotations a2, Annotations a3, and 5 more',
  );
});
