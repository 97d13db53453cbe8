// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fault } from "../../base/errors.ts";
import type { ProcessExit } from "../ports.ts";
import { ExitTable } from "./exit-table.ts";

const open = new AbortController().signal;
const exit: ProcessExit = { pid: 1, exitStatus: 3, exitedAtNanos: 1n };

test("ExitTable asks once for all who wait, and remembers the exit", async () => {
  const asked: string[] = [];
  const gate = Promise.withResolvers<ProcessExit>();
  const table = new ExitTable((execId) => {
    asked.push(execId);
    return gate.promise;
  });
  const waits = [table.wait("e", open), table.wait("e", open)];
  gate.resolve(exit);
  assert.deepEqual(await Promise.all(waits), [exit, exit]);
  assert.deepEqual(await table.wait("e", open), exit);
  assert.deepEqual(asked, ["e"]);
});

test("ExitTable lets one waiter give up without the others", async () => {
  const gate = Promise.withResolvers<ProcessExit>();
  const table = new ExitTable(() => gate.promise);
  const control = new AbortController();
  const [given, kept] = [table.wait("e", control.signal), table.wait("e", open)];
  control.abort();
  await assert.rejects(given, { code: "CANCELLED" });
  gate.resolve(exit);
  assert.deepEqual(await kept, exit);
});

test("ExitTable lets a waiter go who has left already", async () => {
  const table = new ExitTable(() => new Promise(() => {}));
  await assert.rejects(table.wait("e", AbortSignal.abort()), { code: "CANCELLED" });
});

test("ExitTable asks again after a failure and after forget", async () => {
  let calls = 0;
  const table = new ExitTable(async () => {
    calls += 1;
    if (calls === 1) throw fault("NOT_FOUND", "no such process");
    return exit;
  });
  await assert.rejects(table.wait("e", open), { code: "NOT_FOUND" });
  await table.wait("e", open);
  table.forget("e");
  await table.wait("e", open);
  assert.equal(calls, 3);
});
