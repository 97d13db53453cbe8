// SPDX-License-Identifier: Apache-2.0

/**
 * True when `text` fits the pattern of path.Match: `*` any run without a slash, `?` one character
 * but a slash, `[a-z]` and `[^a-z]` classes, `\` quotes. A malformed pattern fits nothing.
 */
export function globMatches(pattern: string, text: string): boolean {
  const source = translate(pattern);
  return source !== undefined && new RegExp(`^${source}$`, "us").test(text);
}

function translate(pattern: string): string | undefined {
  let out = "";
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at] ?? "";
    if (char === "*") out += "[^/]*";
    else if (char === "?") out += "[^/]";
    else if (char === "\\") {
      at += 1;
      if (at >= pattern.length) return undefined;
      out += escapeRegExp(pattern[at] ?? "");
    } else if (char === "[") {
      const end = pattern.indexOf("]", at + 2);
      if (end < 0) return undefined;
      const inner = pattern.slice(at + 1, end);
      const negated = inner.startsWith("^");
      const body = (negated ? inner.slice(1) : inner).replaceAll(/[\\\][^&|~]/g, "\\$&");
      out += `[${negated ? "^" : ""}${body}]`;
      at = end;
    } else out += escapeRegExp(char);
  }
  try {
    new RegExp(out, "u").test("");
    return out;
  } catch {
    return undefined;
  }
}

function escapeRegExp(char: string): string {
  return char.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
