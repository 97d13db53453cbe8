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
    "realm=https://a/b?c=d&e",
    "YII==, ",
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
const isBare = (char: string): boolean => !/[\s",]/.test(char);
const isSpace = (char: string): boolean => char === " " || char === "\t";

/** One character after the other, with what has been read so far. */
function slowly(header: string): Challenge[] {
  const line = header.slice(0, 8192);
  const challenges: Challenge[] = [];
  for (let at = 0; at <= line.length; at += 1) {
    const end = endOfPart(line, at);
    readPart(line.slice(at, end).trim(), challenges);
    at = end;
  }
  return challenges;
}

function endOfPart(line: string, from: number): number {
  let isQuoted = false;
  for (let at = from; at < line.length; at += 1) {
    const char = line.charAt(at);
    if (char === "," && !isQuoted) return at;
    if (char === '"') isQuoted = !isQuoted;
    if (char === "\\" && isQuoted) at += 1;
  }
  return line.length;
}

function readPart(part: string, challenges: Challenge[]): void {
  let at = 0;
  const while_ = (fits: (char: string) => boolean): string => {
    const from = at;
    while (at < part.length && fits(part.charAt(at))) at += 1;
    return part.slice(from, at);
  };
  const scheme = while_(isToken);
  while_(isSpace);
  if (scheme !== "" && part.charAt(at) !== "=") {
    challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
  } else {
    at = 0;
  }
  const parameters: Record<string, string> | undefined = challenges.at(-1)?.parameters;
  if (parameters === undefined) return;
  for (;;) {
    while_(isSpace);
    const name = while_(isToken);
    while_(isSpace);
    if (name === "" || part.charAt(at) !== "=") return;
    at += 1;
    while_(isSpace);
    const value = part.charAt(at) === '"' ? quoted() : while_(isBare) || undefined;
    if (value === undefined) return;
    parameters[name.toLowerCase()] = value;
  }

  function quoted(): string | undefined {
    let value = "";
    for (let next = at + 1; next < part.length; next += 1) {
      let char = part.charAt(next);
      if (char === '"') {
        at = next + 1;
        return value;
      }
      if (char === "\\") {
        next += 1;
        char = part.charAt(next);
      }
      value += char;
    }
    return undefined;
  }
}
