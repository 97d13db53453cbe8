// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { NpmPart } from "./npm-parts.ts";

/**
 * The licences of all that is in a package, as Debian wants them in its `copyright`: ours, then each part's with the
 * texts that it came with. A part without a text is refused, but for one whose folder is a piece of another part.
 */
export function licenceTexts(own: string, parts: readonly NpmPart[]): string {
  const sections = parts.map((part) => {
    const texts = readdirSync(part.folder)
      .filter((name) => /^(licen[cs]e|copying|notice)/i.test(name))
      .sort()
      .map((name) => readFileSync(path.join(part.folder, name), "utf8").trimEnd());
    if (texts.length === 0 && part.license === undefined) {
      throw new Error(`${part.name} has no licence`);
    }
    const body =
      texts.length > 0 ? texts.join("\n\n") : "Its text came with the package that it belongs to.";
    return `${rule}\n${part.name} ${part.version}: ${part.license}\n${rule}\n\n${body}\n`;
  });
  return [
    `Berth is licensed under the Apache License 2.0, whose text comes first. With it come Node.js and code of
npm packages, bundled; their licences follow, each with the text that it came with.\n`,
    own,
    ...sections,
  ].join("\n");
}

const rule = "-".repeat(100);
