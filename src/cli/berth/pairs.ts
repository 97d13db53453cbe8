// SPDX-License-Identifier: Apache-2.0
import { usageFault } from "../usage-fault.ts";

/** `key=value` arguments as an object; the later one of a key wins. INVALID_ARGUMENT names a bad one. */
export function readPairs(what: string, pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw usageFault(`bad ${what} "${pair}": expected key=value`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** For an option that may be given many times: `.option("-e, --env <x>", "…", collect, [])`. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
