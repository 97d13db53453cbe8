// SPDX-License-Identifier: Apache-2.0
import { shortened } from "../../base/shortened.ts";

const longestKey = 60;

/**
 * JSON as plain values. A key that stands twice in an object is an error: of the two, JSON.parse keeps the last without
 * a word. Throws an Error in one line, with the place. Takes time in proportion to the text.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === "{") open.push(new Set());
    else if (char === "}") open.pop();
    else if (char === '"') {
      const end = endOfText(text, at);
      if (isKey(text, end)) checkKey(text, { at, end }, open.at(-1));
      at = end - 1;
    }
  }
  return value;
}

/** Behind the closing quote of the text that begins at `start`. The whole is known to be JSON. */
function endOfText(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at + 1;
}

function isKey(json: string, end: number): boolean {
  let at = end;
  while (/\s/.test(json[at] ?? "")) at += 1;
  return json[at] === ":";
}

function checkKey(
  json: string,
  { at, end }: { readonly at: number; readonly end: number },
  keys: Set<string> | undefined,
): void {
  const key = JSON.parse(json.slice(at, end)) as string;
  if (keys?.has(key)) {
    const line = json.slice(0, at).split("\n").length;
    throw new Error(
      `key "${shortened(key, longestKey)}" stands there twice, again at line ${line}`,
    );
  }
  keys?.add(key);
}
