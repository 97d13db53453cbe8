// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { root } from "./pages.ts";

/** A test as a page names it: `` `FILE` "NAME" ``. In NAME, … stands for what a table of cases fills in. */
export interface NamedTest {
  readonly file: string;
  readonly name: string;
}

/** The tests that a piece of a page names; a file with no name after it is named with "". */
export function namedTests(text: string): NamedTest[] {
  const found = text.matchAll(/`([\w./-]+\.test\.ts)`(?: "([^"]*)")?/g);
  return [...found].map(([, file = "", name = ""]) => ({ file, name }));
}

/** Why there is no such test; undefined when there is. */
export function whyNot({ file, name }: NamedTest): string | undefined {
  const place = path.join(root, file);
  if (!existsSync(place)) return `no file ${file}`;
  if (name === "") return `${file} is named without a test in it`;
  const text = readFileSync(place, "utf8");
  const shared = supportOf(place, text).flatMap((support) => titles(readFileSync(support, "utf8")));
  const isThere = [...titles(text), ...shared].some((title) => fits(title, name, text));
  return isThere ? undefined : `${file} has no test "${name}"`;
}

/** What a test file imports of test/support: some of it makes tests of the file's cases. */
function supportOf(place: string, text: string): string[] {
  const imports = text.matchAll(/ from "(\.[\w./-]*\/support\/[\w./-]+)"/g);
  return [...imports].map(([, file = ""]) => path.resolve(path.dirname(place), file));
}

/** First arguments of test(), it(), suite() and describe(), as they are written, quotes and all. */
function titles(text: string): string[] {
  const calls = text.matchAll(
    /\b(?:test|it|suite|describe)\(\s*("(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|name\b)/g,
  );
  return [...calls].map(([, title = ""]) => title);
}

/**
 * A plain title is the name. Of a template, what fills it in must stand in the file, so that a case that is
 * taken off its table is missed; and so must a name that is a table's whole.
 */
function fits(title: string, name: string, text: string): boolean {
  if (title === "name") return literals(text).some((literal) => fits(literal, name, text));
  // A page's quotes end the name: it is written without those in it.
  const written = title.slice(1, -1).replaceAll(/\\?"/g, "");
  if (title.startsWith('"')) return written === name;
  const parts = written.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/);
  // Words of a case may be those of the template: what fills it in is as short as can be, or as long.
  return ["(.+?)", "(.+)"].some((gap) => {
    const match = new RegExp(`^${parts.map(escaped).join(gap)}$`, "s").exec(name);
    return match?.slice(1).every((filled) => filled === "…" || has(text, filled)) === true;
  });
}

function has(text: string, filled: string): boolean {
  return filled.split("…").every((part) => text.includes(part.trim()));
}

function literals(text: string): string[] {
  return [...text.matchAll(/"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/g)].map(([literal]) => literal);
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
