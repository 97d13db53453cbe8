// SPDX-License-Identifier: Apache-2.0
import { layers } from "./layers.ts";

/** The table of the folders of src. */
export function layerTable(): string {
  const rows = layers.map(
    ({ folder, holds, may }) => `| \`src/${folder}\` | ${holds} | ${may.join(", ")} |\n`,
  );
  return `| folder | what it holds | may import, besides \`base\` and \`gen\` |\n|---|---|---|\n${rows.join("")}`;
}
