// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Outcome, statusText } from "./status.ts";

const good: Outcome = { kind: "exited", exitCode: 0 };
const killed: Outcome = { kind: "exited", exitCode: 137 };
const failed: Outcome = { kind: "failed", message: "container is gone" };

for (const { name, version, outcome, text } of [
  { name: "success in version 1", version: 1, outcome: good, text: "" },
  {
    name: "an exit code in version 3",
    version: 3,
    outcome: killed,
    text: "command terminated with non-zero exit code: 137",
  },
  { name: "a failure in version 2", version: 2, outcome: failed, text: "container is gone" },
  { name: "success in version 4", version: 4, outcome: good, text: { status: "Success" } },
  {
    name: "an exit code in version 5",
    version: 5,
    outcome: killed,
    text: {
      status: "Failure",
      message: "command terminated with non-zero exit code: 137",
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "137" }] },
    },
  },
  {
    name: "a failure in version 4",
    version: 4,
    outcome: failed,
    text: { status: "Failure", message: "container is gone", reason: "InternalError", code: 500 },
  },
] as const) {
  test(`statusText writes ${name}`, () => {
    const written = statusText(version, outcome);
    if (typeof text === "string") assert.equal(written, text);
    else assert.deepEqual(JSON.parse(written), { metadata: {}, ...text });
  });
}
