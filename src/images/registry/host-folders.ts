// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import path from "node:path";
import { errnoOf, fault } from "../../base/errors.ts";

/** Of the registries without a folder of their own. */
export const sharedFolder = "_default";

/**
 * The folders below `root` that are for a registry, those for it alone before `_default`. Names may differ from the
 * registry's in case: `Reg.example:5000` has `reg.example_5000_`, as containerd writes a port, `reg.example_5000` or
 * `reg.example:5000`.
 */
export async function hostFolders(root: string, domain: string): Promise<string[]> {
  const names = await namesIn(root);
  const byLowerCase = new Map(names.map((name) => [name.toLowerCase(), name]));
  const known = new Set(names);
  const found = [...namesOf(domain), sharedFolder].map((name) =>
    known.has(name) ? name : byLowerCase.get(name.toLowerCase()),
  );
  return found.filter((name) => name !== undefined).map((name) => path.join(root, name));
}

/** Certificates in a registry's folder, as Docker has them. */
export interface FolderCertificates {
  /** `*.crt`. */
  readonly ca: string[];
  /** `NAME.cert` with `NAME.key`; one without a key has it in its own file. */
  readonly client: [cert: string, key: string][];
}

/** What counts where a folder has no hosts.toml; undefined for a folder without certificates. */
export async function certificatesIn(folder: string): Promise<FolderCertificates | undefined> {
  const names = (await namesIn(folder)).toSorted();
  const ca = names.filter((name) => name.endsWith(".crt"));
  const client = names
    .filter((name) => name.endsWith(".cert"))
    .map((cert): [string, string] => {
      const key = `${cert.slice(0, -".cert".length)}.key`;
      return [cert, names.includes(key) ? key : cert];
    });
  return ca.length > 0 || client.length > 0 ? { ca, client } : undefined;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw fault("FAILED_PRECONDITION", `cannot read ${folder}`, { cause: error });
  }
}

function namesOf(domain: string): string[] {
  const colon = domain.lastIndexOf(":");
  if (colon <= 0 || domain.endsWith("]")) return [domain];
  const [host, port] = [domain.slice(0, colon), domain.slice(colon + 1)];
  return [`${host}_${port}_`, `${host}_${port}`, domain];
}
