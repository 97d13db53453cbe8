// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { criuReasons } from "./criu-fault.ts";

test("criuReasons takes the errors of a log, the cause first", () => {
  const log = `(00.017108) vdso: nbucket 3 nchain e bucket 7fe9224b5128
(00.017109) Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds
(00.017110)     12: Error (criu/vdso.c:613): vdso: Failed to fill self vdso symtable
(00.017133) Warn  (criu/kerndat.c:10): not an error
(00.020000) Error (criu/cr-dump.c:2053): Dumping FAILED.
`;
  assert.deepEqual(criuReasons(log), [
    "vdso: Unexpected rt vDSO area bounds",
    "vdso: Failed to fill self vdso symtable",
  ]);
  assert.deepEqual(criuReasons(""), []);
});
