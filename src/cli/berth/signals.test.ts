// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { readSignal } from "./signals.ts";

test("readSignal takes names and numbers", () => {
  const read = ["TERM", "sigkill", "SIGUSR1", "9", "64", "RTMIN", "SIGRTMIN+3"].map(readSignal);
  assert.deepEqual(read, [15, 9, 10, 9, 64, 34, 37]);
});

for (const text of ["", "0", "65", "NOPE", "SIGRTMIN+31", "-9"]) {
  test(`readSignal refuses "${text}"`, () => {
    assert.throws(() => readSignal(text), { code: "INVALID_ARGUMENT" });
  });
}
