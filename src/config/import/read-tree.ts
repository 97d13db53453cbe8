// SPDX-License-Identifier: Apache-2.0
import { globSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { parse, TomlError } from "smol-toml";
import { errnoOf, fault, toFault } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { readBoundedSync } from "../../base/read-bounded.ts";
import { checkNesting } from "../nesting.ts";

export interface SourceFile {
  readonly file: string;
  readonly document: Readonly<Record<string, unknown>>;
}

const mostFiles = 200;
const mostBytes = 4 * 1024 * 1024;

/**
 * A file of containerd's and what it imports, in the order in which later ones win: an import over the file that names
 * it. Each file is read once, so that a loop ends. NOT_FOUND names an import that is missing and by whom it is named; a
 * pattern may match nothing.
 */
export function readContainerdFiles(file: string): readonly SourceFile[] {
  const found: SourceFile[] = [];
  const seen = new Set<string>();
  const read = (one: string, by: string): void => {
    const absolute = path.resolve(one);
    if (seen.has(absolute)) return;
    if (seen.size >= mostFiles)
      throw fault("FAILED_PRECONDITION", `${file} imports more than ${mostFiles} files`);
    seen.add(absolute);
    const document = readToml(absolute, by);
    found.push({ file: absolute, document });
    for (const named of importsOf(document, absolute)) read(named, absolute);
  };
  read(file, "");
  return found;
}

/** A file of CRI-O's, with the drop-ins beside it over it; or a folder of drop-ins alone. */
export function readCrioFiles(file: string): readonly SourceFile[] {
  const isFolder = statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
  const folder = isFolder ? file : path.join(path.dirname(file), "crio.conf.d");
  const dropIns = namesIn(folder).map((name) => path.join(folder, name));
  const files = isFolder ? dropIns : [file, ...dropIns.filter((one) => one !== path.resolve(file))];
  if (files.length > mostFiles)
    throw fault("FAILED_PRECONDITION", `${folder} has more than ${mostFiles} files`);
  return files.map((one) => ({ file: path.resolve(one), document: readToml(one, "") }));
}

export function readToml(file: string, by: string): Readonly<Record<string, unknown>> {
  const whose = by === "" ? "" : `, which ${by} imports`;
  let text: string;
  try {
    text = readBoundedSync(file, mostBytes, { follow: true }).toString();
  } catch (error) {
    const errno = errnoOf(error);
    const code = errno === "ENOENT" ? "NOT_FOUND" : "FAILED_PRECONDITION";
    const why = errno ?? toFault(error).message;
    throw fault(code, `cannot read ${file}${whose}: ${why}`, { cause: error });
  }
  try {
    const document = parse(text);
    checkNesting(document, file);
    return document;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split("\n")[0]?.replace("Invalid TOML document: ", "") ?? "";
    const template = text.includes("{{")
      ? "; it is a template: import the file that is made of it"
      : "";
    throw fault("INVALID_ARGUMENT", `${file}:${error.line}: not valid TOML: ${what}${template}`);
  }
}

/** Relative ones are relative to the file that names them. */
function importsOf(document: Readonly<Record<string, unknown>>, by: string): readonly string[] {
  const imports = document["imports"];
  if (!Array.isArray(imports)) return [];
  return imports.flatMap((one) => {
    if (typeof one !== "string" || one === "") return [];
    const wanted = path.resolve(path.dirname(by), one);
    return /[*?[]/.test(wanted) ? globSync(wanted).toSorted() : [wanted];
  });
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".conf") && !name.startsWith("."))
      .toSorted();
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw fault("FAILED_PRECONDITION", `cannot read ${folder}: ${errnoOf(error)}`, {
      cause: error,
    });
  }
}

/** Keys with values that are no tables, each with its whole name. Empty tables are left out. */
export function leavesOf(
  table: Readonly<Record<string, unknown>>,
  above: readonly string[] = [],
): readonly { readonly name: readonly string[]; readonly value: unknown }[] {
  return Object.entries(table).flatMap(([key, value]) => {
    const name = [...above, key];
    return isRecord(value) ? leavesOf(value, name) : [{ name, value }];
  });
}
