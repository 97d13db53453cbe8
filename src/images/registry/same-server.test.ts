// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { isSameServer } from "./same-server.ts";

const cases: readonly (readonly [from: string, to: string, isSame: boolean])[] = [
  ["https://a.test/x", "https://a.test:443/y", true],
  ["http://a.test", "https://a.test", true],
  ["http://a.test:5000", "https://a.test:5000", true],
  ["https://a.test", "http://a.test", false],
  ["https://a.test:5000", "http://a.test:5000", false],
  ["http://a.test", "https://a.test:8443", false],
  ["http://a.test", "https://b.test", false],
  ["https://a.test", "https://x.a.test", false],
  ["https://a.test", "https://a.test:5000", false],
];

for (const [from, to, isSame] of cases) {
  test(`what is for ${from} ${isSame ? "may" : "must not"} go to ${to}`, () => {
    assert.equal(isSameServer(new URL(from), new URL(to)), isSame);
  });
}
