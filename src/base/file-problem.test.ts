// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCdiSpec } from "../cri/oci-spec/cdi/cdi-spec.ts";
import { parseBlockioConfig } from "../cri/oci-spec/classes/blockio-config.ts";
import { parseSeccompProfile } from "../cri/oci-spec/seccomp/profile-file.ts";

const long = "n".repeat(200_000);
const context = {
  capabilities: [],
  architecture: "amd64",
  nativeArchitecture: "SCMP_ARCH_X86_64",
  kernelRelease: "6.1.0",
};
const device = { name: long, containerEdits: { env: ["A=b"] } };

for (const [what, read] of [
  [
    "a CDI file with a long name twice",
    () =>
      parseCdiSpec(
        JSON.stringify({ cdiVersion: "1.0.0", kind: "a/b", devices: [device, device] }),
        "json",
      ),
  ],
  [
    "a CDI file with a long version",
    () =>
      parseCdiSpec(JSON.stringify({ cdiVersion: long, kind: "a/b", devices: [device] }), "json"),
  ],
  [
    "a seccomp profile with thousands of faults",
    () =>
      parseSeccompProfile(
        JSON.stringify({ defaultAction: "", syscalls: Array(10_000).fill(1) }),
        context,
      ),
  ],
  [
    "block I/O classes with a long rate",
    () => parseBlockioConfig(`classes: {a: [{devices: [/d], throttleReadBps: ${long}}]}`),
  ],
] as const) {
  test(`what is wrong with ${what} is told in a few words`, () => {
    assert.throws(read, (error: Error) => error.message.length > 10 && error.message.length < 500);
  });
}
