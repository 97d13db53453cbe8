// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseChallenges } from "./challenge.ts";

const cases: readonly (readonly [string, unknown])[] = [
  ["", []],
  ["Basic", [{ scheme: "basic", parameters: {} }]],
  ['Basic realm="Registry Realm"', [{ scheme: "basic", parameters: { realm: "Registry Realm" } }]],
  [
    'Bearer realm="https://auth.test/token",service="reg",scope="repository:a/b:pull,push"',
    [
      {
        scheme: "bearer",
        parameters: {
          realm: "https://auth.test/token",
          service: "reg",
          scope: "repository:a/b:pull,push",
        },
      },
    ],
  ],
  [
    'Basic realm="a, \\"b\\"", Bearer Realm=https://auth.test/t , service = x',
    [
      { scheme: "basic", parameters: { realm: 'a, "b"' } },
      { scheme: "bearer", parameters: { realm: "https://auth.test/t", service: "x" } },
    ],
  ],
];

for (const [header, expected] of cases) {
  test(`parseChallenges reads ${JSON.stringify(header)}`, () => {
    assert.deepEqual(parseChallenges(header), expected);
  });
}

test("parseChallenges ends for whatever it is given", () => {
  fc.assert(fc.property(fc.string(), (header) => void parseChallenges(header)));
});
