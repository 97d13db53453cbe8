// SPDX-License-Identifier: Apache-2.0
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseSync } from "oxc-parser";

/** A module and what it names: files as paths from the project's folder, packages by their names. */
export interface Module {
  readonly file: string;
  readonly imports: readonly string[];
}

/** The modules below `folder` of the project at `root`, without tests. Types count as imports, and so do threads. */
export function modulesIn(root: string, folder: string): Module[] {
  return globSync(`${folder}/**/*.{ts,js}`, { cwd: root })
    .filter((file) => !/\.test\.ts$|\.d\.ts$/.test(file))
    .toSorted()
    .map((file) => ({
      file,
      imports: importsOf(file, readFileSync(path.join(root, file), "utf8")),
    }));
}

/** What a module's text names in imports, re-exports, `import("…")` and `new URL("…", import.meta.url)`. */
export function importsOf(file: string, text: string): string[] {
  const { module } = parseSync(file, text);
  const named = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? []),
    ),
    ...module.dynamicImports.flatMap(
      ({ moduleRequest: { start, end } }) => literal(text.slice(start, end)) ?? [],
    ),
    ...[...text.matchAll(/new URL\(\s*"(\.[^"]*)"/g)].map(([, name = ""]) => name),
  ];
  const targets = named
    .filter((name) => !name.startsWith("node:"))
    .map((name) => (name.startsWith(".") ? path.join(path.dirname(file), name) : packageOf(name)));
  return [...new Set(targets)];
}

function literal(text: string): string | undefined {
  return /^"([^"]*)"$/.exec(text)?.[1];
}

function packageOf(name: string): string {
  return name.split("/", name.startsWith("@") ? 2 : 1).join("/");
}
