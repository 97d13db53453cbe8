// SPDX-License-Identifier: Apache-2.0
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../base/errors.ts";
import { readBounded } from "../base/read-bounded.ts";
import { type DropIn, isConfName, type NetworkConf, parseConf } from "./conf.ts";

const maxConfBytes = 16 * 1024 * 1024;

export interface LoadedConf extends NetworkConf {
  readonly file: string;
}

export interface ConfDirContent {
  /** The networks in use, in lexical order of their files. */
  readonly networks: readonly LoadedConf[];
  /** Why files were left out. */
  readonly problems: readonly string[];
}

/**
 * Reads the configuration files of a folder in lexical order until `maxConfNum` are good (0: all). A
 * bad file is left out and reported, so that a stray one does not take the node's network down. A
 * network name that came before is left out as well: results are kept by name. Never throws.
 */
export async function loadConfDir(folder: string, maxConfNum: number): Promise<ConfDirContent> {
  const networks: LoadedConf[] = [];
  const problems: string[] = [];
  const limit = maxConfNum > 0 ? maxConfNum : Number.POSITIVE_INFINITY;
  let names: readonly string[];
  let dropIns: ReadonlyMap<string, readonly DropIn[]>;
  try {
    const entries = await confEntries(folder);
    names = entries.names;
    dropIns = await readDropIns(folder, entries.dropIns);
  } catch (error) {
    const errno = errnoOf(error) ?? String(error);
    return { networks, problems: errno === "ENOENT" ? [] : [`cannot read "${folder}": ${errno}`] };
  }
  for (const name of names) {
    if (networks.length >= limit) break;
    const file = path.join(folder, name);
    try {
      const conf = parseConf(file, await read(file), dropIns);
      if (networks.some((other) => other.name === conf.name)) {
        problems.push(`CNI configuration "${file}": network "${conf.name}" is defined already`);
      } else {
        networks.push({ ...conf, file });
      }
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  return { networks, problems };
}

/** Changes whenever a configuration file, or the folder itself, does; "" when there is no folder. */
export async function confDirFingerprint(folder: string): Promise<string> {
  try {
    const self = await stat(folder);
    const { names, dropIns } = await confEntries(folder);
    const files = await Promise.all(
      [...names, ...dropIns].map(async (name) => {
        try {
          const { ino, mtimeMs, size } = await stat(path.join(folder, name));
          return `${name} ${ino} ${mtimeMs} ${size}`;
        } catch (error) {
          return `${name} ${errnoOf(error)}`; // a dangling link, or removed just now
        }
      }),
    );
    return [`${self.dev}:${self.ino}`, ...files].join("\n");
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? "" : String(error);
  }
}

interface ConfEntries {
  /** The configuration files, in order. */
  readonly names: readonly string[];
  /** `NETWORK/FILE.conf`, in order. */
  readonly dropIns: readonly string[];
}

async function confEntries(folder: string): Promise<ConfEntries> {
  const entries = await readdir(folder, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const below = await Promise.all(
    folders.map(async (name) => {
      const files = await readdir(path.join(folder, name)).catch(() => []); // gone just now
      return files.filter(isDropInName).map((file) => path.join(name, file));
    }),
  );
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  return { names: names.filter(isConfName).sort(), dropIns: below.flat().sort() };
}

function isDropInName(name: string): boolean {
  return path.extname(name) === ".conf";
}

/** With the file's name as all that is wrong with one has it, for who looks for the file to blame. */
async function read(file: string): Promise<string> {
  try {
    return await textOf(file);
  } catch (error) {
    const why = errnoOf(error) ?? (error instanceof Error ? error.message : String(error));
    throw new Error(`CNI configuration "${file}": cannot be read: ${why}`, { cause: error });
  }
}

/** Links to plain files are followed: configurations are often links. */
async function textOf(file: string): Promise<string> {
  return String(await readBounded(file, maxConfBytes, { follow: true }));
}

/** By the name of their network. */
async function readDropIns(
  folder: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, readonly DropIn[]>> {
  const dropIns = names.map(async (name): Promise<DropIn> => {
    const file = path.join(folder, name);
    // A drop-in that cannot be read is passed on as text that is no JSON: its network is left out, not half made.
    return { file, text: await textOf(file).catch(() => "") };
  });
  return Map.groupBy(await Promise.all(dropIns), ({ file }) => path.basename(path.dirname(file)));
}
