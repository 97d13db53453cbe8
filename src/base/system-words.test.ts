// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { openSync } from "node:fs";
import { test } from "node:test";
import { fault } from "./errors.ts";
import { systemWords } from "./system-words.ts";

test("an error of a system call is told in the system's words, and others are not", () => {
  assert.throws(
    () => openSync("/no/such/file", "r"),
    (error) => systemWords(error) === "no such file or directory",
  );
  assert.throws(
    () => openSync("/etc/passwd/file", "r"),
    (error) => systemWords(error) === "not a directory",
  );
  for (const other of [fault("NOT_FOUND", "gone"), new Error("ENOENT"), "ENOENT", undefined]) {
    assert.equal(systemWords(other), undefined);
  }
});
