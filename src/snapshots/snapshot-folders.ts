// SPDX-License-Identifier: Apache-2.0
import { chmod, chown, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { syncDirectory } from "../base/atomic-file.ts";
import { errnoOf } from "../base/errors.ts";
import { hostId, type IdMappings } from "../base/os/id-mapping.ts";
import type { SnapshotKind } from "./ports.ts";

/**
 * The folders of a snapshotter: `<base>/<number>/fs` holds a snapshot's own files and
 * `<base>/<number>/work` is overlayfs' scratch folder beside it.
 */
export class SnapshotFolders {
  readonly base: string;
  #next = 1;

  constructor(root: string) {
    this.base = path.join(root, "snapshots");
  }

  /** Makes the base, removes folders that no record names, and continues the numbering. */
  async recover(known: ReadonlySet<number>): Promise<readonly string[]> {
    await mkdir(this.base, { recursive: true, mode: 0o700 });
    for (const number of known) this.#next = Math.max(this.#next, number + 1);
    const orphans: string[] = [];
    for (const name of await readdir(this.base)) {
      const number = /^\d+$/.test(name) ? Number(name) : undefined;
      if (number !== undefined && known.has(number)) continue;
      if (number !== undefined) this.#next = Math.max(this.#next, number + 1);
      orphans.push(name);
      await rm(path.join(this.base, name), { recursive: true, force: true });
    }
    return orphans;
  }

  /** Makes a new snapshot's folder. Its root looks like `parent`'s, as a merged root should, with mapped owners. */
  async create(
    kind: SnapshotKind,
    parent: string | undefined,
    mappings?: IdMappings,
  ): Promise<number> {
    const number = this.#next++;
    const own = this.own(number);
    const files = this.files(number);
    await mkdir(own, { mode: 0o700 });
    try {
      const [like] = await settled([
        parent === undefined ? Promise.resolve(undefined) : stat(parent),
        mkdir(files),
        kind === "ACTIVE" && mkdir(path.join(own, "work"), { mode: 0o700 }),
      ]);
      const { uid, gid } = like ?? { uid: 0, gid: 0 };
      if (mappings !== undefined) {
        await chown(files, hostId(mappings.uids, uid), hostId(mappings.gids, gid));
      } else if (uid !== 0 || gid !== 0) await chown(files, uid, gid); // it is root's as it was made
      await chmod(files, like === undefined ? 0o755 : like.mode & 0o7777);
      await syncDirectory(this.base);
      return number;
    } catch (error) {
      await rm(own, { recursive: true, force: true });
      throw error;
    }
  }

  /** Drops what only an active snapshot needs. */
  async seal(number: number): Promise<void> {
    await rm(path.join(this.own(number), "work"), { recursive: true, force: true });
  }

  /** Away under another name first: half a deletion is never taken for a snapshot. */
  async remove(number: number): Promise<void> {
    const doomed = path.join(this.base, `rm-${number}`);
    try {
      await rename(this.own(number), doomed);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return;
      throw error;
    }
    await rm(doomed, { recursive: true, force: true });
  }

  /** Removes what a removal has renamed and could not delete. */
  async cleanup(): Promise<void> {
    for (const name of await readdir(this.base)) {
      if (!name.startsWith("rm-")) continue;
      await rm(path.join(this.base, name), { recursive: true, force: true });
    }
  }

  own(number: number): string {
    return path.join(this.base, String(number));
  }

  files(number: number): string {
    return path.join(this.own(number), "fs");
  }
}

/** All at once; when one fails, only after the others have ended: what they made is removed then. */
async function settled<T extends readonly unknown[]>(
  work: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
