// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionEnd } from "../../streaming/ports.ts";
import { cutAtStop } from "./cut-at-stop.ts";

for (const when of ["before", "meanwhile"] as const) {
  test(`a session ends with a word when the daemon stops ${when}`, async () => {
    const daemon = new AbortController();
    if (when === "before") daemon.abort();
    const end = Promise.withResolvers<SessionEnd>();
    cutAtStop(daemon.signal, end);
    daemon.abort();
    assert.deepEqual(await end.promise, {
      kind: "failed",
      message: "berthd is stopping: the session was cut off",
    });
  });
}
