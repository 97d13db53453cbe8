// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";

/** Tables and lists within each other. What reads and writes the configuration recurses; settings need a few. */
const deepest = 64;
/** Of the key that is too deep, as much as names its place. */
const namedKeys = 4;

/** INVALID_ARGUMENT for a document whose keys lead deeper, in dotted keys or headers too, which no TOML reader counts. */
export function checkNesting(document: unknown, file: string): void {
  const rest: {
    readonly value: unknown;
    readonly key: readonly string[];
    readonly depth: number;
  }[] = [{ value: document, key: [], depth: 0 }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { value, key, depth } = next;
    if (typeof value !== "object" || value === null) continue;
    if (depth > deepest) {
      throw fault(
        "INVALID_ARGUMENT",
        `${file}: "${key.join(".")}…": tables and lists lie more than ${deepest} deep in each other`,
      );
    }
    for (const [name, part] of Object.entries(value)) {
      const longer = key.length < namedKeys ? [...key, name] : key;
      rest.push({ value: part, key: longer, depth: depth + 1 });
    }
  }
}
