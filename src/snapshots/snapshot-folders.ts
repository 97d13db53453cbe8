// SPDX-License-Identifier: Apache-2.0
import { chmod, chown, mkdir, readdir, stat } from "node:fs/promises";
import path from "node:path";
import { syncDirectory } from "../base/atomic-file.ts";
import type { Cancellable } from "../base/cancellable.ts";
import { hostId, type IdMappings } from "../base/os/id-mapping.ts";
import { allSettled } from "../base/waits.ts";
import type { RemovesTrees } from "../trees/ports.ts";
import { isDoomed } from "../trees/tree-remover.ts";
import type { SnapshotKind } from "./ports.ts";

/**
 * The folders of a snapshotter: `<base>/<number>/fs` holds a snapshot's own files and
 * `<base>/<number>/work` is overlayfs' scratch folder beside it.
 */
export class SnapshotFolders {
  readonly base: string;
  readonly #trees: RemovesTrees;
  #next = 1;

  constructor(root: string, trees: RemovesTrees) {
    this.base = path.join(root, "snapshots");
    this.#trees = trees;
  }

  /**
   * Makes the base, removes folders that no record names, and continues the numbering. Answers the folders whose
   * removal nobody had begun. Does not wait for their content.
   */
  async recover(known: ReadonlySet<number>): Promise<readonly string[]> {
    await mkdir(this.base, { recursive: true, mode: 0o700 });
    for (const number of known) this.#next = Math.max(this.#next, number + 1);
    const orphans: string[] = [];
    for (const name of await readdir(this.base)) {
      const number = /^\d+$/.test(name) ? Number(name) : undefined;
      if (number !== undefined && known.has(number)) continue;
      if (number !== undefined) this.#next = Math.max(this.#next, number + 1);
      if (!isDoomed(name)) orphans.push(name);
      await this.#trees.remove(path.join(this.base, name));
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
      const [like] = await allSettled([
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
      await this.#trees.remove(own);
      throw error;
    }
  }

  /** Drops what only an active snapshot needs. */
  async seal(number: number): Promise<void> {
    await this.#trees.remove(path.join(this.own(number), "work"), this.base);
  }

  /** Away under another name first: half a deletion is never taken for a snapshot. */
  async remove(number: number): Promise<void> {
    await this.#trees.remove(this.own(number));
  }

  /** Waits until what was removed has been deleted, as far as it can be. */
  async cleanup(call: Cancellable): Promise<void> {
    await this.#trees.sweep(this.base);
    await this.#trees.settled(this.base, call);
  }

  own(number: number): string {
    return path.join(this.base, String(number));
  }

  files(number: number): string {
    return path.join(this.own(number), "fs");
  }
}
