// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { plainHost, specOf, testRefusals } from "../../../test/support/spec-input.ts";
import { defaultHandler } from "../../config/defaults.ts";
import type { CapabilityInit } from "../../gen/cri.gen.ts";

const defaults =
  "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT";

const rows: { name: string; capabilities: CapabilityInit; out: string }[] = [
  { name: "the default fourteen", capabilities: {}, out: defaults },
  { name: "drop ALL", capabilities: { dropCapabilities: ["ALL"] }, out: "" },
  {
    name: "drop all but one, any case, any prefix",
    capabilities: { dropCapabilities: ["all"], addCapabilities: ["cap_net_admin"] },
    out: "NET_ADMIN",
  },
  {
    name: "add ALL but one",
    capabilities: { addCapabilities: ["ALL"], dropCapabilities: ["SYS_ADMIN"] },
    out: `${defaults} NET_ADMIN`,
  },
  {
    name: "add one, drop one",
    capabilities: { addCapabilities: ["NET_ADMIN"], dropCapabilities: ["MKNOD"] },
    out: defaults.replace("MKNOD ", "") + " NET_ADMIN",
  },
  {
    name: "ambient has no effect",
    capabilities: { addAmbientCapabilities: ["NET_ADMIN"] },
    out: defaults,
  },
];

for (const { name, capabilities, out } of rows) {
  test(`capabilities: ${name}`, async () => {
    const spec = await specOf({ config: { linux: { securityContext: { capabilities } } } });
    const {
      bounding = [],
      effective,
      permitted,
      inheritable,
      ambient,
    } = spec.process.capabilities ?? {};
    const wanted = out
      .split(" ")
      .filter((word) => word !== "")
      .map((word) => `CAP_${word}`);
    assert.deepEqual([...bounding].sort(), wanted.sort());
    assert.deepEqual(
      [effective, permitted, inheritable, ambient],
      [bounding, bounding, undefined, undefined],
    );
  });
}

test("capabilities: privileged has all of the host's", async () => {
  const privileged = { linux: { securityContext: { privileged: true } } };
  const spec = await specOf({
    pod: privileged,
    config: {
      linux: { securityContext: { privileged: true, capabilities: { dropCapabilities: ["ALL"] } } },
    },
    handler: { ...defaultHandler, privilegedWithoutHostDevices: true },
  });
  assert.deepEqual(spec.process.capabilities?.bounding, plainHost.capabilities);
});

testRefusals([
  {
    name: "a privileged container in a pod that is not",
    changes: { config: { linux: { securityContext: { privileged: true } } } },
    code: "INVALID_ARGUMENT",
    message: /linux\.security_context\.privileged: the sandbox is not privileged/,
  },
  {
    name: "an unknown capability",
    changes: {
      config: { linux: { securityContext: { capabilities: { addCapabilities: ["FLY"] } } } },
    },
    code: "INVALID_ARGUMENT",
    message: /capabilities\.add_capabilities: unknown capability "FLY"/,
  },
  {
    name: "a capability the host lacks",
    changes: {
      config: { linux: { securityContext: { capabilities: { addCapabilities: ["SYS_TIME"] } } } },
    },
    code: "FAILED_PRECONDITION",
    message: /CAP_SYS_TIME is not available on this host/,
  },
]);
