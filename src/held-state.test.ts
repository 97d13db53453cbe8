// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { silentLogger } from "./base/logger.ts";
import { removeFolderSync } from "./base/remove-folder.ts";
import { holdState } from "./held-state.ts";

const home = mkdtempSync(path.join(os.tmpdir(), "berth state-"));
after(() => removeFolderSync(home));
const options = () => ({ log: silentLogger, signal: AbortSignal.timeout(60_000) });

test("a state is one daemon's at a time", async () => {
  const state = path.join(home, "a", "state");
  {
    using _held = await holdState(state, options());
    await assert.rejects(holdState(state, { ...options(), patienceMs: 0 }), {
      code: "FAILED_PRECONDITION",
      message: `cannot use state "${state}": another daemon is at work in it; each needs a state, a root and an address of its own`,
    });
  }
  using _again = await holdState(state, { ...options(), patienceMs: 0 });
});

test("who has it may be about to end", async () => {
  const state = path.join(home, "b");
  const held = await holdState(state, options());
  const next = holdState(state, { ...options(), patienceMs: 15_000 });
  held[Symbol.dispose]();
  using _next = await next;
});
