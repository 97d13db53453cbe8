// SPDX-License-Identifier: Apache-2.0
import {
  isNode,
  isScalar,
  LineCounter,
  type Pair,
  parseDocument,
  type ScalarTag,
  visit,
} from "yaml";

/** `0660` is a mode to everybody who writes one, as in YAML 1.1, and not six hundred and sixty. */
const octal: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  test: /^0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};

/**
 * One YAML document, or JSON, as plain values. Merge keys (`<<`) are followed; a key that stands twice, or is
 * no text or number, a second document and a bomb of aliases are errors. Throws an Error in one line, with the
 * place. Takes time in proportion to the text. `isLenient` reads as the kubelet does: the first document counts, and of a key
 * that stands twice the last one.
 */
export function parseYaml(text: string, { isLenient = false } = {}): unknown {
  try {
    const lines = new LineCounter();
    const document = parseDocument(text, {
      merge: true,
      logLevel: "error",
      customTags: (tags) => [octal, ...tags],
      uniqueKeys: false, // by comparing each with all before it
      lineCounter: lines,
    });
    const error = document.errors.find(({ code }) => !isLenient || code !== "MULTIPLE_DOCS");
    if (error) throw error;
    visit(document, { Map: (_key, { items }) => checkKeys(items, lines, isLenient) });
    return document.toJS() as unknown;
  } catch (error) {
    const [what = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new Error(what.replace(/:$/, ""), { cause: error });
  }
}

/** A list or a map as a key is written out for a name, anew for each that it is in: 500 of them take 40 s. */
function checkKeys(pairs: readonly Pair[], lines: LineCounter, mayRepeat: boolean): void {
  const seen = new Set<string>();
  for (const { key } of pairs) {
    if (!isScalar(key)) throw badKey(key, "must be texts or numbers", lines);
    const name = String(key.value);
    if (!mayRepeat && seen.has(name) && name !== "<<") throw badKey(key, "must be unique", lines);
    seen.add(name);
  }
}

function badKey(key: unknown, problem: string, lines: LineCounter): Error {
  const { line, col } = lines.linePos((isNode(key) && key.range?.[0]) || 0);
  return new Error(`Map keys ${problem} at line ${line}, column ${col}`);
}
