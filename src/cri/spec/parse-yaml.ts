// SPDX-License-Identifier: Apache-2.0
import { parse, type ScalarTag } from "yaml";

/** `0660` is a mode to everybody who writes one, as in YAML 1.1, and not six hundred and sixty. */
const octal: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  test: /^0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};

/**
 * One YAML document, or JSON, as plain values. Merge keys (`<<`) are followed; a key that stands twice,
 * a second document and a bomb of aliases are errors. Throws an Error in one line, with the place.
 */
export function parseYaml(text: string): unknown {
  try {
    return parse(text, {
      merge: true,
      logLevel: "error",
      customTags: (tags) => [octal, ...tags],
    }) as unknown;
  } catch (error) {
    const [what = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new Error(what.replace(/:$/, ""), { cause: error });
  }
}
