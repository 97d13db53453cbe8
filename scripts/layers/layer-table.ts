// SPDX-License-Identifier: Apache-2.0
import { layers } from "./layers.ts";

const start = "<!-- layers: made by `npm run docs` from scripts/layers/layers.ts -->\n";
const end = "<!-- /layers -->\n";

/** A page with its table of layers as it is now. */
export function withLayerTable(page: string): string {
  const [before, rest] = page.split(start);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) {
    throw new Error(`the page has no place for the table of layers: ${start.trim()}`);
  }
  return `${before}${start}\n${table()}\n${end}${after}`;
}

function table(): string {
  const rows = layers.map(
    ({ folder, holds, may }) => `| \`src/${folder}\` | ${holds} | ${may.join(", ")} |\n`,
  );
  return `| folder | what it holds | may import, besides \`base\` and \`gen\` |\n|---|---|---|\n${rows.join("")}`;
}
