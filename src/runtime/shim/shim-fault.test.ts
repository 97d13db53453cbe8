// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type FaultCode, fault } from "../../base/errors.ts";
import { shimFault } from "./shim-fault.ts";

const cases: { text: string; code: FaultCode }[] = [
  { text: "cannot delete a running process", code: "FAILED_PRECONDITION" },
  { text: "cannot exec in a stopped state: unknown", code: "FAILED_PRECONDITION" },
  { text: "cannot start a stopped process: unknown", code: "FAILED_PRECONDITION" },
  { text: "OCI runtime pause failed: container not running: unknown", code: "FAILED_PRECONDITION" },
  { text: "id e1: already exists: unknown", code: "ALREADY_EXISTS" },
  { text: "process already finished: not found", code: "NOT_FOUND" },
  { text: "os: process already finished", code: "NOT_FOUND" },
  { text: "container not created: unknown", code: "NOT_FOUND" },
  { text: "container does not exist", code: "NOT_FOUND" },
  {
    text: 'OCI runtime exec failed: exec failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown',
    code: "INVALID_ARGUMENT",
  },
  {
    text: 'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown',
    code: "INVALID_ARGUMENT",
  },
  {
    text: 'unable to start container process: exec: "/etc": permission denied',
    code: "PERMISSION_DENIED",
  },
  // crun's
  {
    text: "OCI runtime exec failed: executable file `nope` not found in $PATH: No such file or directory",
    code: "INVALID_ARGUMENT",
  },
  { text: "exec: No such file or directory", code: "INVALID_ARGUMENT" },
  {
    text: "exec container process (missing dynamic library?) `/x`: No such file or directory",
    code: "INVALID_ARGUMENT",
  },
  { text: "exec container process `/x`: Exec format error", code: "INVALID_ARGUMENT" },
  { text: "open executable: Permission denied", code: "PERMISSION_DENIED" },
  {
    text: "error opening file `/run/containerd/runc/k8s.io/c1/status`: No such file or directory",
    code: "NOT_FOUND",
  },
  { text: "OCI runtime create failed: something new: unknown", code: "UNKNOWN" },
];

for (const { text, code } of cases) {
  test(`shimFault: ${text.slice(0, 60)} is ${code}`, () => {
    const mapped = shimFault(fault("UNKNOWN", text), 'cannot start task "t"');
    assert.equal(mapped.code, code);
    assert.equal(mapped.message, `cannot start task "t": ${text}`);
  });
}

test("shimFault believes any code but UNKNOWN", () => {
  const mapped = shimFault(fault("UNAVAILABLE", "x already exists"), "cannot start");
  assert.equal(mapped.code, "UNAVAILABLE");
});
