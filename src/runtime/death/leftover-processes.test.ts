// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { ownCgroups } from "./leftover-processes.ts";

test("ownCgroups never takes this process's own cgroups for a container's", async () => {
  assert.deepEqual(await ownCgroups(process.pid, "some-container", ""), []);
});
