// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../base/errors.ts";
import { isConfName, type NetworkConf, parseConf } from "./conf.ts";

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
 * bad file is left out and told of, so that a stray one does not take the node's network down. A
 * network name that came before is left out as well: results are kept by name. Never throws.
 */
export async function loadConfDir(folder: string, maxConfNum: number): Promise<ConfDirContent> {
  const networks: LoadedConf[] = [];
  const problems: string[] = [];
  const limit = maxConfNum > 0 ? maxConfNum : Number.POSITIVE_INFINITY;
  let names: string[];
  try {
    names = await confNames(folder);
  } catch (error) {
    const errno = errnoOf(error) ?? String(error);
    return { networks, problems: errno === "ENOENT" ? [] : [`cannot read "${folder}": ${errno}`] };
  }
  for (const name of names) {
    if (networks.length >= limit) break;
    const file = path.join(folder, name);
    try {
      const conf = parseConf(file, await readFile(file, "utf8"));
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
    const names = await confNames(folder);
    const files = await Promise.all(
      names.map(async (name) => {
        try {
          const { ino, mtimeMs, size } = await stat(path.join(folder, name));
          return `${name} ${ino} ${mtimeMs} ${size}`;
        } catch (error) {
          return `${name} ${errnoOf(error)}`; // a link that leads nowhere, or gone just now
        }
      }),
    );
    return [`${self.dev}:${self.ino}`, ...files].join("\n");
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? "" : String(error);
  }
}

async function confNames(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter(isConfName).sort();
}
