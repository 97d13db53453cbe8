// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, rmdir } from "node:fs/promises";
import path from "node:path";
import { type IdMapping, parseMappings } from "./id-mapping.ts";
import { bindIdmapped } from "./idmapped-mount.ts";
import { type MappedMountOptions, mappingOf, withoutMapping } from "./mapped-mount.ts";
import { type MountSpec, unmount } from "./mount.ts";
import { holdUserNamespace } from "./user-namespace.ts";

/** Mounts that can be used until disposed. */
export interface LentMounts<M> extends AsyncDisposable {
  readonly mounts: readonly M[];
}

/**
 * Turns an overlay for a user namespace into one for the host: its upper folder, which has the mapped ids on the
 * disk, is read and written with the ids inside. Other mounts stay as they are.
 */
export async function unmapUpper<M extends MountSpec>(
  mounts: readonly M[],
  options: MappedMountOptions,
): Promise<LentMounts<M>> {
  await using undo = new AsyncDisposableStack();
  const lent: M[] = [];
  for (const mount of mounts) {
    const upper = mount.options.find((option) => option.startsWith(upperKey));
    const ids = mappingOf(mount);
    if (upper === undefined || ids === undefined) {
      lent.push(mount);
      continue;
    }
    const bound = undo.use(await openUpper(upper.slice(upperKey.length), ids, options));
    const plain = withoutMapping(mount);
    lent.push({
      ...plain,
      options: plain.options.map((it) => (it === upper ? `${upperKey}${bound.folder}` : it)),
    });
  }
  const owned = undo.move();
  return { mounts: lent, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const upperKey = "upperdir=";

async function openUpper(
  upper: string,
  { uidmap, gidmap }: { readonly uidmap: string; readonly gidmap: string },
  { program, scratchFolder }: MappedMountOptions,
): Promise<AsyncDisposable & { readonly folder: string }> {
  const uids = parseMappings(uidmap).map(inverse);
  const gids = parseMappings(gidmap).map(inverse);
  await using held = await holdUserNamespace({ program, uids, gids, network: false });
  await mkdir(scratchFolder, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(path.join(scratchFolder, "upper-"));
  await using undo = new AsyncDisposableStack();
  undo.defer(async () => {
    while (unmount(folder, { lazy: true }));
    await rmdir(folder); // never through a mount
  });
  const userNamespace = openSync(`/proc/${held.pid}/ns/user`, "r");
  try {
    const source = { source: upper, target: folder, userNamespace };
    bindIdmapped({ ...source, readOnly: false, recursive: false });
  } finally {
    closeSync(userNamespace);
  }
  const owned = undo.move();
  return { folder, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function inverse({ containerID, hostID, size }: IdMapping): IdMapping {
  return { containerID: hostID, hostID: containerID, size };
}
