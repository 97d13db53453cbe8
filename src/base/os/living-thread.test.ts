// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { startHeadlessProcess } from "../../../test/support/headless-process.ts";
import { hasEnded, identify, isAlive, killProcess, livingThread, unreapedExit } from "./proc.ts";

test("a process lives while any thread of it does, though its first one has ended", async () => {
  using headless = startHeadlessProcess();
  const found = identify(headless.pid);
  assert.ok(found);
  assert.equal(livingThread(found.pid), found.pid);
  await headless.loseHead();
  assert.ok((livingThread(found.pid) ?? 0) > found.pid);
  assert.deepEqual(
    [isAlive(found), hasEnded(found), unreapedExit(found)],
    [true, false, undefined],
  );
  const gone = headless.ended;
  assert.equal(killProcess(found, "SIGKILL"), true);
  await gone;
  assert.deepEqual([isAlive(found), hasEnded(found)], [false, true]);
});
