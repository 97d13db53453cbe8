// SPDX-License-Identifier: Apache-2.0

/** One way to log in that a 401 offers. */
export interface Challenge {
  /** Lower case: "basic", "bearer". */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const token = /[!#$%&'*+.^_`|~\w-]+/y;
const parameter = /([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~\w/:-]+))/y;

/**
 * Reads `WWW-Authenticate`, which may hold several challenges in one line. It stops at the first thing that it cannot
 * read.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let at = 0;
  const skip = (pattern: RegExp): void => {
    while (pattern.test(header[at] ?? "")) at += 1;
  };
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(header);
    if (found) at = pattern.lastIndex;
    return found;
  };
  for (;;) {
    skip(/[\s,]/);
    const scheme = match(token);
    if (!scheme) return challenges;
    const parameters: Record<string, string> = {};
    for (;;) {
      const before = at;
      skip(/[\s,]/);
      const found = match(parameter);
      if (!found) {
        at = before;
        break;
      }
      const value = found[2]?.replaceAll(/\\(.)/g, "$1") ?? found[3] ?? "";
      parameters[(found[1] ?? "").toLowerCase()] = value;
    }
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters });
  }
}
