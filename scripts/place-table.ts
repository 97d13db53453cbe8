// SPDX-License-Identifier: Apache-2.0
import { inRoot, inState, type Place, type Row } from "../src/config/layout.ts";

/** The table of what lies in root and in state. */
export function placeTable(): string {
  const rows = [...rowsOf("ROOT", inRoot), ...rowsOf("STATE", inState)];
  return `| path | mode | what it is |\n|---|---|---|\n${rows.join("")}`;
}

function rowsOf(folder: string, places: Readonly<Record<string, Place>>): string[] {
  const rows = Object.values(places).flatMap((place): Row[] => [place, ...(place.more ?? [])]);
  return rows.map(({ at, mode, holds }) => {
    const path = at === "" ? folder : `${folder}/${at}`;
    return `| \`${path}\` | ${mode.toString(8).padStart(4, "0")} | ${holds} |\n`;
  });
}
