// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

/** Berth's own version, as package.json says it. */
export const version: string = readVersion();

function readVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
