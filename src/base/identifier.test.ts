// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkIdentifier } from "./identifier.ts";

for (const id of ["a", "A9", "k8s.io", "a_b-c.d", "x".repeat(76), "00"]) {
  test(`checkIdentifier takes ${id}`, () => checkIdentifier("container id", id));
}

for (const id of ["", ".", "a.", "-a", "a--b", "a..b", "a/b", "a b", "ä", "x".repeat(77), "a\n"]) {
  test(`checkIdentifier refuses ${JSON.stringify(id)}`, () => {
    const wanted = { code: "INVALID_ARGUMENT", message: /^container id / };
    assert.throws(() => checkIdentifier("container id", id), wanted);
  });
}
