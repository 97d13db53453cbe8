// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { NpmPart } from "./npm-parts.ts";

/**
 * The licences of all that is in a package, as Debian wants them in its `copyright`: ours, then each part's with the
 * texts that it came with. A part whose licence is not known to go with ours is refused.
 */
export function licenceTexts(own: string, parts: readonly NpmPart[]): string {
  const sections = parts.map((part) => {
    const texts = readdirSync(part.folder)
      .filter((name) => /^(licen[cs]e|copying|notice)/i.test(name))
      .sort()
      .map((name) => readFileSync(path.join(part.folder, name), "utf8").trimEnd());
    refuseLicence(part);
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

/** Licences that let their code be passed on within ours, by their SPDX identifiers. */
const known = [
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "ISC",
  "MIT",
  "Unlicense",
];

function refuseLicence({ name, license }: NpmPart): void {
  if ((license ?? "") === "") throw new Error(`${name} has no licence`);
  // Of an expression such as `(MIT OR Apache-2.0)` each has to be known; which is taken is nobody's choice here.
  const names = license.replaceAll(/[()]/g, "").split(/ (?:OR|AND) /);
  const others = names.filter((one) => !known.includes(one));
  if (others.length === 0) return;
  throw new Error(`${name} is licensed under ${license}, which is not known to go with ours`);
}

const rule = "-".repeat(100);
