// SPDX-License-Identifier: Apache-2.0
// Writes docs/configuration.md from the configuration's own table of keys, the table of src's folders in
// docs/architecture.md from the layers that `npm run check` holds imports to, and the table of what lies where in
// docs/security.md from the layout that the daemon takes its paths from.
// `npm run docs` writes, `npm run docs -- --check` only compares and exits 1 when something differs.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { renderReference } from "../src/config/reference.ts";
import { withPart } from "./generated-part.ts";
import { layerTable } from "./layers/layer-table.ts";
import { placeTable } from "./place-table.ts";

const docs = path.resolve(import.meta.dirname, "../docs");
const read = (name: string): string => {
  const file = path.join(docs, name);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
};
const pages: Readonly<Record<string, string>> = {
  "configuration.md": renderReference(),
  "architecture.md": withPart(
    read("architecture.md"),
    "layers",
    "scripts/layers/layers.ts",
    layerTable(),
  ),
  "security.md": withPart(read("security.md"), "places", "src/config/layout.ts", placeTable()),
};
for (const [name, text] of Object.entries(pages)) {
  if (read(name) === text) continue;
  if (process.argv.includes("--check")) {
    const advice = "run `npm run docs` and commit the result";
    process.stderr.write(`docs/${name} is out of date: ${advice}\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(path.join(docs, name), text);
  }
}
