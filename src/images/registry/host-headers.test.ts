// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { headersForTokens, secretsIn } from "./host-headers.ts";

const headers = { authorization: "Basic c2VjcmV0OnM=", "x-key": "k3y-0f-ours", "x-short": "1" };
const { authorization } = headers;
const cases: readonly (readonly [origin: string, realm: string, sent: object])[] = [
  ["https://m.test", "https://m.test/token", headers],
  ["http://m.test", "https://m.test/token", headers],
  ["http://m.test:5000", "http://m.test:5000/token", headers],
  ["https://m.test", "https://auth.test/token", { authorization }],
  ["http://m.test", "http://auth.test/token", { authorization }],
  ["https://m.test", "http://auth.test/token", {}],
  ["https://m.test", "http://m.test/token", {}],
];

for (const [origin, realm, sent] of cases) {
  test(`of the headers for ${origin} its tokens' server at ${realm} gets ${Object.keys(sent).join(", ") || "none"}`, () => {
    assert.deepEqual(headersForTokens(headers, new URL(origin), new URL(realm)), sent);
  });
}

test("no error quotes a login or a key, and short values are no secrets", () => {
  assert.deepEqual(secretsIn(headers), [
    authorization,
    "c2VjcmV0OnM=",
    "k3y-0f-ours",
    "k3y-0f-ours",
  ]);
});
