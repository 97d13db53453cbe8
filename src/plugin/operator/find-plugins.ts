// SPDX-License-Identifier: Apache-2.0
import { readdirSync, type Stats, statSync } from "node:fs";
import path from "node:path";
import { errnoOf, fault } from "../../base/errors.ts";

/** A plugin's file, or a plugin that was asked for and cannot be loaded. */
export interface FoundPlugin {
  /** The file's name without its ending. */
  readonly name: string;
  /** "" when there is none. */
  readonly file: string;
  readonly error?: Error;
}

const pluginFile = /^([A-Za-z0-9][A-Za-z0-9._-]*)\.(?:js|mjs|ts)$/;

/**
 * The plugins of a folder in lexical order of their names, and those of `configured` that have no
 * file. A folder that is missing holds none; one that cannot be read is FAILED_PRECONDITION. What
 * others than the daemon's user can write is not run: it would be theirs, as root.
 */
export function findPlugins(dir: string, configured: readonly string[]): FoundPlugin[] {
  const found = new Map<string, FoundPlugin>();
  const folderError = dir === "" ? undefined : unsafe(dir);
  for (const entry of dir === "" ? [] : entriesOf(dir)) {
    const name = pluginFile.exec(entry)?.[1];
    if (name === undefined || entry.endsWith(".d.ts")) continue;
    const file = path.join(dir, entry);
    const other = found.get(name);
    const error = other
      ? fault("INVALID_ARGUMENT", `${other.file} and ${file} are both plugin "${name}"`)
      : (folderError ?? unsafe(file));
    found.set(name, error ? { name, file, error } : { name, file });
  }
  for (const name of configured) {
    if (found.has(name)) continue;
    const error = fault("NOT_FOUND", `no file ${path.join(dir || "(no folder)", name)}.js`);
    found.set(name, { name, file: "", error });
  }
  return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function entriesOf(dir: string): string[] {
  try {
    return readdirSync(dir).toSorted();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw fault("FAILED_PRECONDITION", `cannot read plugin folder ${dir}: ${errnoOf(error)}`, {
      cause: error,
    });
  }
}

function unsafe(file: string): Error | undefined {
  const stats: Stats | undefined = statSync(file, { throwIfNoEntry: false });
  if (!stats) return undefined;
  const self = process.getuid?.() ?? 0;
  if (stats.uid !== 0 && stats.uid !== self) {
    return fault("PERMISSION_DENIED", `${file} belongs to user ${stats.uid}, not to root`);
  }
  if ((stats.mode & 0o022) === 0) return undefined;
  return fault("PERMISSION_DENIED", `${file} can be written by others than its owner`);
}
