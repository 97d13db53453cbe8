// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { errnoOf, type FaultCode, fault, toFault } from "./errors.ts";

const systemError = (code: string): Error =>
  Object.assign(new Error(`${code}: of a call`), { code });

const cases: readonly (readonly [unknown, FaultCode, string])[] = [
  [fault("NOT_FOUND", "gone"), "NOT_FOUND", "gone"],
  [new DOMException("late", "TimeoutError"), "DEADLINE_EXCEEDED", "late"],
  [new DOMException("left", "AbortError"), "CANCELLED", "left"],
  [systemError("ENOSPC"), "RESOURCE_EXHAUSTED", "ENOSPC: of a call"],
  [systemError("EDQUOT"), "RESOURCE_EXHAUSTED", "EDQUOT: of a call"],
  [systemError("EMFILE"), "RESOURCE_EXHAUSTED", "EMFILE: of a call"],
  [systemError("EACCES"), "UNKNOWN", "EACCES: of a call"],
  [new Error("plain"), "UNKNOWN", "plain"],
  ["a string", "UNKNOWN", "a string"],
];
for (const [thrown, code, message] of cases) {
  test(`toFault: ${String(thrown)} is ${code}`, () => {
    const known = toFault(thrown);
    assert.deepEqual([known.code, known.message], [code, message]);
  });
}

test("a fault's code is no errno", () => {
  assert.equal(errnoOf(fault("NOT_FOUND", "gone")), undefined);
  assert.equal(errnoOf(systemError("ENOENT")), "ENOENT");
});
