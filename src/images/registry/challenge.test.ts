// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseChallenges } from "./challenge.ts";

const basicX = { scheme: "basic", parameters: { realm: "x" } };

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
  ['Negotiate YII==, Basic realm="x"', [{ scheme: "negotiate", parameters: { yii: "=" } }, basicX]],
  ['Bearer "what?" realm=y, Basic realm="x"', [{ scheme: "bearer", parameters: {} }, basicX]],
  ['realm="y", Basic realm="x"', [basicX]],
  [", , Basic realm=x ,", [basicX]],
  [
    "Bearer realm=https://auth.test/t?a=b&c=d,service=x",
    [{ scheme: "bearer", parameters: { realm: "https://auth.test/t?a=b&c=d", service: "x" } }],
  ],
  [
    'BEARER\trealm="r" service="s"',
    [{ scheme: "bearer", parameters: { realm: "r", service: "s" } }],
  ],
  ["Digest qop=auth , nonce = a", [{ scheme: "digest", parameters: { qop: "auth", nonce: "a" } }]],
];

for (const [header, expected] of cases) {
  test(`parseChallenges reads ${JSON.stringify(header)}`, () => {
    assert.deepEqual(parseChallenges(header), expected);
  });
}

test("parseChallenges reads each line by itself, so that a broken one spoils no other", () => {
  assert.deepEqual(parseChallenges('Bearer realm="never closed', "Basic realm=x"), [
    { scheme: "bearer", parameters: {} },
    basicX,
  ]);
});

test("parseChallenges ends for whatever it is given", () => {
  fc.assert(fc.property(fc.string(), (header) => void parseChallenges(header)));
});
