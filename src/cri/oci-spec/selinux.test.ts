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

for (const level of [
  "s0",
  "s0-s15",
  "s0:c0.c1023",
  "s0:c0,c3.c6,c8",
  "s0-s0:c0,c3.c6",
  "s0:c1-s1:c2",
  "s0:c1,c2-s15:c0.c1023",
]) {
  test(`the SELinux level ${level} is one`, async () => {
    await specOf(options({ level }, false));
  });
}

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
  ...[
    "s0:c1-c2",
    "s0:c1.c2-c3",
    "s0:c1.c2.c3",
    "s0:c12345",
    "s0,c1",
    "s0:",
    "s0-",
    "s0-s1-s2",
    "s0:c1-s1:c2-s2",
    "s0\n",
  ].map((level) => ({
    name: `the SELinux level ${JSON.stringify(level)}`,
    changes: options({ level }, false),
    code: "INVALID_ARGUMENT" as const,
    message: /is no level such as s0:c1,c2/,
  })),
]);
