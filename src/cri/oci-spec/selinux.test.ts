// SPDX-License-Identifier: Apache-2.0
import { test } from "node:test";
import { plainHost, specOf, testRefusals } from "../../../test/support/spec-input.ts";

const options = (selinuxOptions: object, selinux: boolean) => ({
  host: { ...plainHost, selinux },
  config: { linux: { securityContext: { selinuxOptions } } },
});

test("SELinux options are ignored where there is no SELinux", async () => {
  await specOf(options({ type: "spc_t", level: "s0:c1,c2" }, false));
  await specOf(options({}, true));
});

testRefusals([
  {
    name: "SELinux labels where they would matter",
    changes: options({ type: "spc_t" }, true),
    code: "FAILED_PRECONDITION",
    message: /SELinux labels are not supported/,
  },
  {
    name: "a bad SELinux level",
    changes: options({ level: "top secret" }, false),
    code: "INVALID_ARGUMENT",
    message: /level: "top secret"/,
  },
]);
