// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { parseChallenges } from "../../../src/images/registry/challenge.ts";
import type { FuzzTarget } from "../target.ts";

const tokenChars = "!#$%&'*+.^_`|~-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

export const target: FuzzTarget = {
  name: "challenge",
  parses: ["src/images/registry/challenge.ts"],
  maxBytes: 16_384,
  dictionary: [
    "Bearer ",
    "Basic ",
    "realm=",
    '"',
    '\\"',
    "\\",
    ", ",
    "service=",
    "scope=",
    "=",
    "__proto__=",
  ],
  *seeds() {
    yield Buffer.from(
      'Bearer realm="https://auth.example/token",service="r",scope="repository:a/b:pull"',
    );
    yield Buffer.from('Basic realm="a \\"b\\" c", Bearer realm=plain, error = x');
    yield Buffer.from("Negotiate, Basic");
  },
  run(input) {
    const header = input.toString("latin1");
    const challenges = parseChallenges(header);
    let taken = 0;
    for (const { scheme, parameters } of challenges) {
      assert.ok(scheme !== "" && Array.from(scheme).every((char) => tokenChars.includes(char)));
      assert.equal(scheme, scheme.toLowerCase());
      taken += scheme.length;
      for (const [key, value] of Object.entries(parameters)) {
        assert.ok(key !== "" && Array.from(key).every((char) => tokenChars.includes(char)));
        taken += key.length + value.length;
      }
    }
    assert.ok(taken <= header.length, "no more comes out than is in it");
    // Written as other servers do, it is read as the same.
    const written = challenges.map(({ scheme, parameters }) => {
      const list = Object.entries(parameters).map(
        ([key, value]) => `${key}="${value.replaceAll(/["\\]/g, "\\$&")}"`,
      );
      return [scheme, list.join(", ")].join(" ");
    });
    assert.deepEqual(parseChallenges(written.join(", ")), challenges);
  },
};
