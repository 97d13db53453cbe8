// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../base/errors.ts";
import { couldUnlinkAt, openFolder, openResolved, Resolve, renameAt } from "../base/os/at.ts";
import { DirectoryReader, EntryType } from "../base/os/directory-reader.ts";
import { lastError } from "../base/os/errno.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Left } from "./remove-tree.ts";
import { unfasten } from "./unfasten.ts";

/** Folders that are open at once. */
const mostOpen = 48;
/** Entries between two yields. */
const pieceEntries = 64;
/** How often one name is freed of what keeps it there: mounts on top of one another, flags of file and folder. */
const mostAttempts = 64;

/** A folder that is being emptied. */
interface Level {
  readonly fd: number;
  readonly reader: DirectoryReader;
  readonly name: Buffer;
  /** Whether anything in it went since it was last read from the start. */
  isLess: boolean;
  /** Whether anything was moved into it since then. */
  isMore: boolean;
  /** Something in it stays. */
  isHeld: boolean;
}

type Fate = "gone" | "folder" | "stays";

/**
 * One pass over a tree that is to be removed. At most `mostOpen` folders are open; a folder below those that is not
 * empty is moved up to the top, under a name of ours, and emptied there later. So nothing depends on the depth, and
 * ".." is never used.
 */
export class Removal implements Disposable {
  readonly #place: number;
  readonly #name: Buffer;
  readonly #descriptors: Descriptors;
  readonly #levels: Level[] = [];
  #moves = 0;
  /** Names that went in this pass. */
  removed = 0;
  /** The first name that stays, and why. */
  left: Left | undefined;

  constructor(place: number, name: Buffer, descriptors: Descriptors) {
    this.#place = place;
    this.#name = name;
    this.#descriptors = descriptors;
  }

  *run(): Generator<void, void, void> {
    this.#take(this.#place, this.#name, EntryType.unknown);
    for (let entries = 1; this.#step(); entries += 1) {
      if (entries % pieceEntries === 0) yield;
    }
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#levels) this.#descriptors.close(fd);
    this.#levels.length = 0;
  }

  #step(): boolean {
    const level = this.#levels.at(-1);
    if (level === undefined) return false;
    const entry = this.#nextOf(level);
    if (entry === undefined) this.#finish(level);
    else this.#take(level.fd, entry.name, entry.type);
    return true;
  }

  #nextOf(level: Level): ReturnType<DirectoryReader["next"]> {
    try {
      return level.reader.next();
    } catch (error) {
      this.#stays(level.name, errnoOf(error));
      return undefined;
    }
  }

  /** Removes a name; where it is a folder, goes into it. */
  #take(folder: number, name: Buffer, type: number): void {
    const fate = this.#unlink(folder, name, type === EntryType.folder);
    if (fate === "gone") this.#wentFrom(this.#levels.at(-1));
    if (fate !== "folder") return;
    if (this.#levels.length < mostOpen) this.#enter(folder, name);
    else this.#moveUp(folder, name);
  }

  #unlink(folder: number, name: Buffer, isFolder: boolean): Fate {
    let asFolder = isFolder;
    for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
      if (couldUnlinkAt(folder, name, asFolder)) return "gone";
      const { code } = lastError("unlinkat");
      if (code === "ENOENT") return "gone";
      if (code === "ENOTEMPTY" || code === "EEXIST") return "folder";
      if (code === "EISDIR") asFolder = true;
      else if (code === "ENOTDIR") asFolder = false;
      else if (!unfasten(code, folder, name)) return this.#stays(name, code);
    }
    return this.#stays(name, "EBUSY");
  }

  #enter(folder: number, name: Buffer): void {
    for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
      try {
        const how = Resolve.noMounts | Resolve.noLinks;
        const fd = this.#descriptors.keep(openResolved(folder, name, openFolder, how));
        const reader = new DirectoryReader(fd);
        this.#levels.push({ fd, reader, name, isLess: false, isMore: false, isHeld: false });
        return;
      } catch (error) {
        const code = errnoOf(error) ?? "EIO";
        if (code === "ENOENT") return;
        if (code !== "EAGAIN" && !unfasten(code, folder, name)) {
          this.#stays(name, code);
          return;
        }
      }
    }
    this.#stays(name, "EBUSY");
  }

  /** The new name must be free at the top: what lies there may have any name. */
  #moveUp(folder: number, name: Buffer): void {
    const [top] = this.#levels;
    if (top === undefined) return;
    for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
      this.#moves += 1;
      const target = Buffer.from(
        `.berth-deep-${this.#moves}-${Math.random().toString(36).slice(2)}`,
      );
      try {
        renameAt(folder, name, top.fd, target);
        top.isMore = true;
        return;
      } catch (error) {
        const code = errnoOf(error) ?? "EIO";
        if (code !== "EEXIST" && !unfasten(code, folder, name) && !unfasten(code, top.fd, target)) {
          this.#stays(name, code);
          return;
        }
      }
    }
    this.#stays(name, "EBUSY");
  }

  /** A folder was read to its end. It is removed or, when entries came meanwhile, read again. */
  #finish(level: Level): void {
    const parent = this.#levels.at(-2);
    const folder = parent?.fd ?? this.#place;
    const isKept = level.isHeld || level.isMore;
    const fate = isKept ? "folder" : this.#unlink(folder, level.name, true);
    if (level.isMore || (fate === "folder" && !level.isHeld && level.isLess)) {
      level.isMore = false;
      level.isLess = false;
      level.reader.seek(0n);
      return;
    }
    this.#levels.pop();
    this.#descriptors.close(level.fd);
    if (fate === "gone") this.#wentFrom(parent);
    else if (fate === "folder" && !level.isHeld) this.#stays(level.name, "ENOTEMPTY");
    else if (parent !== undefined) parent.isHeld = true;
  }

  #wentFrom(level: Level | undefined): void {
    this.removed += 1;
    if (level !== undefined) level.isLess = true;
  }

  #stays(name: Buffer, code = "EIO"): "stays" {
    const level = this.#levels.at(-1);
    if (level !== undefined) level.isHeld = true;
    this.left ??= { code, name: name.toString("utf8", 0, 80) };
    return "stays";
  }
}
