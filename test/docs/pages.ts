// SPDX-License-Identifier: Apache-2.0
import { globSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

export const root = path.resolve(import.meta.dirname, "../..");

export interface Page {
  /** Its path below the project's folder. */
  readonly name: string;
  readonly text: string;
  /** What stands in backticks on one line, or over the end of one. */
  readonly spans: readonly string[];
  readonly blocks: readonly Block[];
}

export interface Block {
  readonly language: string;
  readonly text: string;
}

export function page(name: string): Page {
  const text = readFileSync(path.join(root, name), "utf8");
  const blocks: Block[] = [];
  const prose = text.replaceAll(
    /^( *)```(\w*)\n([^]*?)^\1```$/gm,
    (_all, indent, language, body) => {
      const lines = String(body).split("\n");
      const inner = lines.map((line) => line.slice(String(indent).length)).join("\n");
      blocks.push({ language: String(language), text: inner });
      return "";
    },
  );
  const spans = [...prose.matchAll(/`([^`]+)`/g)].map((match) =>
    match[1]!.replaceAll(/\s*\n\s*/g, " "),
  );
  return { name, text, spans, blocks };
}

/** What people read. The reference of the configuration is made from the code and held against it elsewhere. */
export const pages: readonly Page[] = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "RELEASING.md",
  "SECURITY.md",
  "deploy/README.md",
  ...globSync("docs/*.md", { cwd: root }).toSorted(),
].map(page);

/** Every file of the daemon, its clients and its scripts in one text. */
export function sources(...globs: readonly string[]): string {
  return globs
    .flatMap((glob) => globSync(glob, { cwd: root }))
    .filter((file) => !file.endsWith(".test.ts") && statSync(path.join(root, file)).isFile())
    .map((file) => readFileSync(path.join(root, file), "utf8"))
    .join("\n");
}
