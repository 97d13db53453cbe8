// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type Challenge, parseChallenges } from "../../../src/images/registry/challenge.ts";
import type { FuzzTarget } from "../target.ts";

/** `WWW-Authenticate` as Node hands it over, a character for a byte, against a reading a character at a time. */
export const target: FuzzTarget = {
  name: "registry-challenges",
  parses: ["src/images/registry/challenge.ts"],
  maxBytes: 16 * 1024,
  dictionary: [
    "Bearer ",
    "Basic ",
    'realm="',
    'service="',
    'scope="',
    '\\"',
    "\\\\",
    ", ",
    "=",
    '"',
    "\t",
    "__proto__=",
  ],
  *seeds() {
    yield Buffer.from(
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull"',
    );
    yield Buffer.from(
      'Basic realm="a \\"quoted\\" realm", Bearer realm=https://a/b,scope="x:y:pull,push"',
    );
    yield Buffer.from("Negotiate, Digest qop=auth , nonce = abc, Basic");
    yield Buffer.from('Bearer realm="never closed, Basic realm="x"');
    for (const piece of ["a=", 'a="', "a ", "\\", " ", "a\\", ',a="\\"']) {
      yield Buffer.from(`Bearer ${piece.repeat(16_000 / piece.length)}`);
    }
  },
  run(input) {
    const header = input.toString("latin1");
    const found = parseChallenges(header);
    assert.deepEqual(
      found.map(({ scheme, parameters }) => [scheme, Object.entries(parameters)]),
      slowly(header).map(({ scheme, parameters }) => [scheme, Object.entries(parameters)]),
    );
  },
};

const isToken = (char: string): boolean => char !== "" && /[!#$%&'*+.^_`|~\w-]/.test(char);
const isBare = (char: string): boolean => isToken(char) || (char !== "" && "/:".includes(char));
const isSpace = (char: string): boolean => /\s/.test(char);

function slowly(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let at = 0;
  const while_ = (fits: (char: string) => boolean): string => {
    const from = at;
    while (fits(header.charAt(at))) at += 1;
    return header.slice(from, at);
  };
  const separators = (): string => while_((char) => isSpace(char) || char === ",");
  for (;;) {
    separators();
    const scheme = while_(isToken);
    if (scheme === "") return challenges;
    const parameters: Record<string, string> = {};
    for (;;) {
      const before = at;
      separators();
      const name = while_(isToken);
      while_(isSpace);
      const isGiven = name !== "" && header.charAt(at) === "=";
      if (isGiven) at += 1;
      while_((char) => isGiven && isSpace(char));
      const value = isGiven ? valueAt() : undefined;
      if (value === undefined) {
        at = before;
        break;
      }
      parameters[name.toLowerCase()] = value;
    }
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
  }

  function valueAt(): string | undefined {
    if (header.charAt(at) !== '"') return while_(isBare) || undefined;
    let value = "";
    for (let next = at + 1; next < header.length; next += 1) {
      let char = header.charAt(next);
      if (char === '"') {
        at = next + 1;
        return value;
      }
      if (char === "\\") {
        next += 1;
        char = header.charAt(next);
        // A line's end cannot be quoted, nor can the header's.
        if (char === "" || /[\n\r\u2028\u2029]/.test(char)) return undefined;
      }
      value += char;
    }
    return undefined;
  }
}
