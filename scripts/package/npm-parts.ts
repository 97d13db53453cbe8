// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import path from "node:path";
import { run } from "../../src/base/process.ts";
import { removeFolderSync } from "../../src/base/remove-folder.ts";

/** An npm package that has gone into ours. */
export interface NpmPart {
  readonly name: string;
  readonly version: string;
  /** Its SPDX licence expression, as its own package.json has it. */
  readonly license: string;
  readonly folder: string;
  /** What package-lock.json holds it to, `sha512-BASE64`. */
  readonly integrity: string | undefined;
}

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly version?: string; readonly integrity?: string }>
  >;
}

/** An installed npm package, by its folder below the project: `node_modules/ws`. */
export function installedPart(root: string, folder: string): NpmPart {
  return partAt(path.join(root, folder), lockOf(root).packages[folder]?.integrity);
}

/**
 * The npm package that package-lock.json names, whatever machine it is for: the installed one, or else from npm's
 * registry into `cache`. What does not have the bytes that the lock names is refused.
 */
export async function lockedPart(root: string, name: string, cache: string): Promise<NpmPart> {
  const locked = lockOf(root).packages[`node_modules/${name}`];
  if (locked?.version === undefined || locked.integrity === undefined) {
    throw new Error(`package-lock.json has no ${name}`);
  }
  const installed = path.join(root, "node_modules", name);
  if (existsSync(installed)) return partAt(installed, locked.integrity);
  const folder = path.join(cache, `${name.replace("/", "-")}-${locked.version}`);
  if (!existsSync(folder)) await fetchPart(`${name}@${locked.version}`, locked.integrity, folder);
  return partAt(folder, locked.integrity);
}

async function fetchPart(spec: string, integrity: string, folder: string): Promise<void> {
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  try {
    const packed = await run("npm", ["pack", "--silent", "--pack-destination", fresh, spec], {
      cwd: fresh,
    });
    const archive = path.join(fresh, packed.stdout.toString().trim().split("\n").at(-1) ?? "");
    const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (found !== integrity) throw new Error(`${spec} is not what package-lock.json names`);
    await run("tar", ["-xzf", archive, "--no-same-owner"], { cwd: fresh });
    try {
      renameSync(path.join(fresh, "package"), folder);
    } catch (error) {
      // Another build was quicker.
      if (!existsSync(folder)) throw error;
    }
  } finally {
    removeFolderSync(fresh);
  }
}

function partAt(folder: string, integrity: string | undefined): NpmPart {
  const text = readFileSync(path.join(folder, "package.json"), "utf8");
  const { name, version, license } = JSON.parse(text) as Record<
    "name" | "version" | "license",
    string
  >;
  return { name, version, license, folder, integrity };
}

function lockOf(root: string): Lock {
  return JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8")) as Lock;
}
