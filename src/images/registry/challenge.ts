// SPDX-License-Identifier: Apache-2.0

/** One way to log in that a 401 offers. */
export interface Challenge {
  /** Lower case: "basic", "bearer". */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Nobody's login takes more to describe, and each comma costs. */
const mostChars = 8 * 1024;
const mostLines = 8;

/** A scheme, or the name of a parameter, which has a `=` behind it. */
const word = /([!#$%&'*+.^_`|~\w-]+)[ \t]*(=?)/y;
const parameter = /[ \t]*([!#$%&'*+.^_`|~\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/sy;

/**
 * Reads lines of `WWW-Authenticate`, each of which may hold several challenges. What cannot be read is passed over, to
 * the next comma: others may stand behind it. Values may be bare where they should be quoted, as in `realm=https://x/y`.
 */
export function parseChallenges(...lines: readonly string[]): Challenge[] {
  return lines.slice(0, mostLines).flatMap((line) => challengesIn(line.slice(0, mostChars)));
}

function challengesIn(line: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  for (const part of partsOf(line)) {
    word.lastIndex = 0;
    const [, scheme = "", equals] = word.exec(part) ?? [];
    const isScheme = scheme !== "" && equals === "";
    if (isScheme) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    const parameters = challenges.at(-1)?.parameters;
    if (parameters === undefined) continue;
    parameter.lastIndex = isScheme ? word.lastIndex : 0;
    for (let next = parameter.exec(part); next; next = parameter.exec(part)) {
      const [, name = "", quoted, bare = ""] = next;
      parameters[name.toLowerCase()] = quoted?.replaceAll(/\\(.)/gs, "$1") ?? bare;
    }
  }
  return challenges;
}

/** What stands between commas, but for commas in quotes. */
function partsOf(line: string): string[] {
  const parts: string[] = [];
  let from = 0;
  let isQuoted = false;
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at];
    if (char === '"') isQuoted = !isQuoted;
    else if (isQuoted && char === "\\") at += 1;
    else if (!isQuoted && char === ",") {
      parts.push(line.slice(from, at).trim());
      from = at + 1;
    }
  }
  parts.push(line.slice(from).trim());
  return parts;
}
