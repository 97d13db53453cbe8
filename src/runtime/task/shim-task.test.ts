// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import { ShimTask, type ShimTaskParts } from "./shim-task.ts";

test("a deletion whose caller leaves as the shim dies does not wait for the clean-up", async () => {
  const caller = new AbortController();
  const shim = {
    isOpen: false,
    api: {
      Delete: async () => {
        caller.abort();
        throw fault("UNAVAILABLE", "ttrpc connection is closed");
      },
    },
  };
  const task = new ShimTask({
    bundle: { namespace: "k8s.io", id: "a", path: "/no/such", rootfs: "/no/such/rootfs" },
    shim,
    sandboxId: "",
    pid: process.pid,
    surroundings: {},
  } as unknown as ShimTaskParts);
  await assert.rejects(task.delete("", caller), { code: "CANCELLED" });
});
