// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, fchmodSync, openSync } from "node:fs";
import path from "node:path";
import { errnoOf, fault } from "../../base/errors.ts";
import {
  linkAt,
  makeFolderAt,
  openAt,
  openFolder,
  openResolved,
  Resolve,
  symlinkAt,
  unlinkAt,
} from "../../base/os/at.ts";
import { FileType, factsIfAny } from "../../base/os/file-facts.ts";
import { type FileTime, setTimesOf } from "../../base/os/inode.ts";

/** Names below the target, as bytes, one character each; none for the target itself. */
export type Below = readonly string[];

const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const noWayOut = Resolve.beneath | Resolve.noLinks;

/**
 * Where an archive that is not trusted is unpacked. Every name is opened below the target, and no link is followed on
 * the way, whoever made it and when: FAILED_PRECONDITION where that would be needed.
 */
export class TargetTree implements Disposable {
  /** The folder that the target is in, where links are the caller's own. */
  readonly #parent: number;
  readonly #base: Buffer;
  readonly #shown: string;
  #root: number | undefined;

  /** Throws the system error when there is no folder to put it in. */
  constructor(target: string) {
    const resolved = path.resolve(target);
    this.#shown = resolved;
    this.#base = Buffer.from(path.basename(resolved));
    const flags = constants.O_RDONLY | constants.O_DIRECTORY;
    this.#parent = openSync(path.dirname(resolved), flags);
  }

  /** Makes a file, in place of anything of that name, and opens it for writing; the caller closes it. */
  file(below: Below): number {
    return this.#make(below, (folder, name) => openAt(folder, name, newFile, 0o600));
  }

  /** Makes a folder where there is none, and gives it permission bits. */
  folder(below: Below, mode: number): void {
    this.#with(below, (fd) => fchmodSync(fd, mode));
  }

  /** Sets when a folder was changed. */
  setTime(below: Below, time: FileTime): void {
    this.#with(below, (fd) => setTimesOf(fd, time, time));
  }

  link(below: Below, target: Buffer): void {
    this.#make(below, (folder, name) => {
      symlinkAt(target, folder, name);
      return 0;
    });
  }

  /** Gives a file that is there another name; false when it is no regular file. */
  hardLink(below: Below, to: Below): boolean {
    const [from, name] = this.#place(to);
    try {
      const facts = factsIfAny(from, name);
      if (facts === undefined || (facts.mode & FileType.mask) !== FileType.regular) return false;
      this.#make(below, (folder, newName) => {
        linkAt(from, name, folder, newName);
        return 0;
      });
      return true;
    } finally {
      this.#done(from);
    }
  }

  [Symbol.dispose](): void {
    if (this.#root !== undefined) closeSync(this.#root);
    closeSync(this.#parent);
  }

  #with(below: Below, work: (folder: number) => void): void {
    const fd = this.#openFolder(below);
    try {
      work(fd);
    } finally {
      closeSync(fd);
    }
  }

  #make(below: Below, make: (folder: number, name: Buffer) => number): number {
    const [folder, name] = this.#place(below);
    try {
      removeFile(folder, name);
      return make(folder, name);
    } finally {
      this.#done(folder);
    }
  }

  /** The open folder that the last name goes into, and that name. */
  #place(below: Below): [folder: number, name: Buffer] {
    const last = below.at(-1);
    if (last === undefined) return [this.#parent, this.#base];
    return [this.#openFolder(below.slice(0, -1)), Buffer.from(last, "latin1")];
  }

  #done(folder: number): void {
    if (folder !== this.#parent) closeSync(folder);
  }

  /** Opens a folder below the target, or the target, and makes what is missing of its path. */
  #openFolder(below: Below): number {
    this.#root ??= this.#enter(this.#parent, this.#base, []);
    if (below.length === 0) return this.#enter(this.#parent, this.#base, []);
    const whole = Buffer.from(below.join("/"), "latin1");
    try {
      return openResolved(this.#root, whole, openFolder, noWayOut);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw this.#refusal(error, below);
    }
    let at = this.#root;
    for (const [index, name] of below.entries()) {
      try {
        const next = this.#enter(at, Buffer.from(name, "latin1"), below.slice(0, index + 1));
        if (at !== this.#root) closeSync(at);
        at = next;
      } catch (error) {
        if (at !== this.#root) closeSync(at);
        throw error;
      }
    }
    return at;
  }

  #enter(folder: number, name: Buffer, below: Below): number {
    try {
      makeFolderAt(folder, name, 0o755);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    try {
      return openAt(folder, name, openFolder);
    } catch (error) {
      throw this.#refusal(error, below);
    }
  }

  #refusal(error: unknown, below: Below): unknown {
    const errno = errnoOf(error);
    if (errno !== "ENOTDIR" && errno !== "ELOOP" && errno !== "EXDEV") return error;
    const where = [this.#shown, Buffer.from(below.join("/"), "latin1").toString()]
      .filter((part) => part !== "")
      .join("/");
    const problem = "is no folder, or leads elsewhere by a link: refused";
    return fault("FAILED_PRECONDITION", `"${where}" ${problem}`);
  }
}

/** Removes what has the name, unless it is a folder: then the new file cannot be made. */
function removeFile(folder: number, name: Buffer): void {
  try {
    unlinkAt(folder, name, false);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
