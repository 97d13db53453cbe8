// SPDX-License-Identifier: Apache-2.0
import type { Decision } from "./key.ts";
import { sections } from "./sections.ts";

/** The decision for a key, by its names in Config: `["log", "level"]`, `["runtime", "handlers", …]`. */
export function decisionFor(path: readonly string[]): Decision {
  const [first = "", second] = path;
  const section = sections.find(({ key }) => key === first);
  const fields = (section ?? sections.find(({ key }) => key === ""))?.fields ?? [];
  const property = section === undefined ? first : second;
  const own = fields.find((field) => field.property === property)?.change;
  const named = section?.tables?.key === second ? section?.tables?.change : undefined;
  const found = own ?? named;
  if (found !== undefined) return found;
  throw new TypeError(`no key of the configuration: ${path.join(".")}`);
}
