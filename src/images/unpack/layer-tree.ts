// SPDX-License-Identifier: Apache-2.0
import { lstatSync, mkdirSync, readlinkSync, type Stats, unlinkSync } from "node:fs";
import { fault } from "../../base/errors.ts";
import { type FileTime, setAttribute, setTimes } from "../../base/os/inode.ts";
import { isWhiteout } from "../../base/os/overlay.ts";
import { CountedUsage } from "./counted-usage.ts";
import { maxNameBytes, maxPathBytes, quotedName, tooLong } from "./entry-path.ts";
import { emptyFolder, namesIn, removeFolder } from "./folder-contents.ts";
import { type Known, KnownFolders, pathOf, walk } from "./known-folders.ts";

const maxLinks = 40;
/** Names that may be looked up to follow links, in all: a few bytes of an archive can ask for thousands. */
const maxLinkSteps = 20_000_000;
/** A folder of the tree, with its path. */
export interface Place {
  readonly at: string;
  readonly known: Known;
}

/**
 * The folder tree that a layer is extracted into. Runs inside a chroot, so "/" is the layer's root and no link leads
 * out of it. Paths are bytes, one character each; "" is the root. What it remembers is bounded. No step costs more
 * than what it changes and the length of its path.
 */
export class LayerTree {
  /** Of what has been made; folders are counted at the end, when all files are in. */
  readonly usage = new CountedUsage();
  readonly #known: KnownFolders;
  readonly #step: () => void;
  /** Where the last path led: most members lie beside the one before. */
  #last: { readonly key: string; readonly place: Place } | undefined;
  #linkSteps = 0;

  /** `step` is called for each piece of long work. */
  constructor(step: () => void, limit?: number) {
    this.#known = new KnownFolders(limit);
    this.#step = step;
  }

  get root(): Place {
    return { at: "", known: this.#known.root };
  }

  /** Follows a folder path, making what is missing. INVALID_ARGUMENT for a file in the way. */
  folder(parts: readonly string[]): Place {
    return this.#follow(parts, true);
  }

  /**
   * Where a path leads and what is there, following links on the way to it, not at its end. Nothing is made, and what is
   * below something missing, or below a file, is missing.
   */
  find(parts: readonly string[]): { readonly at: string; readonly stat: Stats | undefined } {
    const base = parts.at(-1) ?? "";
    const { at, isMissing } = this.#follow(parts.slice(0, -1), false);
    const place = pathIn(at, base);
    return { at: place, stat: isMissing ? undefined : this.stat(place) };
  }

  #follow(parts: readonly string[], makes: boolean): Place & { readonly isMissing?: boolean } {
    const key = parts.join("/");
    if (this.#last?.key === key) return this.#last.place;
    let { at, known } = this.root;
    let links = 0;
    const pending = parts.toReversed();
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      if (links > 0) this.#countLinkStep(key);
      if (part === "" || part === ".") continue;
      if (part === "..") {
        at = at.slice(0, Math.max(at.lastIndexOf("/"), 0));
        known = known.parent ?? known;
        continue;
      }
      const next = pathIn(at, part);
      const found = known.below?.get(part);
      if (!found?.isFolder) {
        const stat = this.stat(next);
        if (stat?.isSymbolicLink()) {
          links += 1;
          if (links > maxLinks) {
            throw fault("INVALID_ARGUMENT", `too many links in ${quotedName(`/${key}`)}`);
          }
          const target = readlinkSync(osPath(next), { encoding: "latin1" });
          if (target.startsWith("/")) ({ at, known } = this.root);
          pending.push(...target.split("/").reverse());
          continue;
        }
        if (!makes && !stat?.isDirectory()) {
          const beyond = missing(part, pending);
          if (beyond.length === 0) continue;
          return { at: [at, ...beyond].join("/"), known, isMissing: true };
        }
        this.#enter(known, part, next, stat);
      }
      known = this.#known.remember(known, part);
      at = next;
    }
    const place = { at, known };
    this.#last = { key, place };
    return place;
  }

  #enter(parent: Known, name: string, at: string, stat: Stats | undefined): void {
    if (stat !== undefined && !stat.isDirectory() && !isWhiteout(stat)) {
      throw fault(
        "INVALID_ARGUMENT",
        `layer puts a file below ${quotedName(at)}, which is no folder`,
      );
    }
    const known = this.#known.remember(parent, name);
    if (!stat?.isDirectory()) {
      this.makeFolder(at, stat);
      known.isImplicit = true;
    }
    known.isFolder = true;
  }

  #countLinkStep(key: string): void {
    this.#step();
    this.#linkSteps += 1;
    if (this.#linkSteps <= maxLinkSteps) return;
    throw fault("RESOURCE_EXHAUSTED", `layer follows too many links, at ${quotedName(`/${key}`)}`);
  }

  stat(at: string): Stats | undefined {
    return lstatSync(osPath(at), { throwIfNoEntry: false });
  }

  /** Makes a folder. In place of a whiteout it is made opaque, so that it hides what is below. */
  makeFolder(at: string, existing: Stats | undefined): void {
    if (existing) {
      this.usage.lose();
      unlinkSync(osPath(at));
    }
    mkdirSync(osPath(at), 0o755);
    if (existing) this.makeOpaque(at);
  }

  makeOpaque(at: string): void {
    setAttribute(bytesOf(at), "trusted.overlay.opaque", Buffer.from("y"));
  }

  /** Notes that a member of this layer is there. */
  own(folder: Place, name: string): void {
    this.#known.own(this.#known.remember(folder.known, name));
  }

  /** Removes a file, or a folder and all in it that no member of this layer has put there. */
  removeOlder(folder: Place, name: string, existing: Stats): void {
    this.#step();
    const known = folder.known.below?.get(name);
    if (known === undefined || known.own === 0) {
      this.clear(folder, name, existing);
    } else if (existing.isDirectory()) {
      this.emptyOlder({ at: pathIn(folder.at, name), known });
    }
  }

  /** Removes from a folder what no member of this layer has put there; does so only once. */
  emptyOlder(folder: Place): void {
    if (folder.known.isEmptied) return;
    folder.known.isEmptied = true;
    for (const name of namesIn(bytesOf(folder.at))) {
      const stat = this.stat(`${folder.at}/${name}`);
      if (stat) this.removeOlder(folder, name, stat);
    }
  }

  /** Removes what there is of a name. */
  remove(folder: Place, name: string): void {
    const existing = this.stat(pathIn(folder.at, name));
    if (existing) this.clear(folder, name, existing);
  }

  /** Removes what an earlier member of this layer has put there. */
  clear(folder: Place, name: string, existing: Stats): void {
    const at = pathIn(folder.at, name);
    this.usage.lose();
    if (existing.isDirectory()) {
      emptyFolder(bytesOf(at), this.#step);
      removeFolder(bytesOf(at));
    } else unlinkSync(osPath(at));
    if (existing.isDirectory() || existing.isSymbolicLink()) this.#last = undefined;
    this.#known.forget(folder.known, name);
  }

  /** Notes that a folder has a member of its own. Its time is set when all files are in. */
  setTimeLater(folder: Place, time: FileTime): void {
    folder.known.time = time;
    folder.known.isImplicit = false;
  }

  /** The place of a folder that is there. */
  enter(folder: Place, name: string): Place {
    const known = this.#known.remember(folder.known, name);
    known.isFolder = true;
    return { at: pathIn(folder.at, name), known };
  }

  /** Sets the times of the folders, and counts them. */
  finishFolders(): void {
    for (const known of walk(this.#known.root)) {
      if (!known.isFolder) continue;
      this.#step();
      const at = pathOf(known);
      if (known.time !== undefined) setTimes(bytesOf(at), known.time, known.time);
      this.count(at);
    }
  }

  /** Counts what was made at a path, and what an answer from before its end could not tell. */
  count(at: string): void {
    const stat = this.stat(at);
    if (stat) this.usage.add(stat.blocks);
    else this.usage.lose();
  }

  /**
   * Folders that the layer has no member for, parents first. They are made to look as in the layers below, later.
   */
  *implicit(): Generator<string, void, undefined> {
    for (const known of walk(this.#known.root)) {
      if (known.isImplicit) yield pathOf(known);
    }
  }
}

/** Takes the rest of a path from `pending`, up to where its ".." lead back to before `name`. Answers where it is then below the folder; [] when it came back. */
function missing(name: string, pending: string[]): readonly string[] {
  const beyond = [name];
  while (beyond.length > 0 && pending.length > 0) {
    const part = pending.pop() ?? "";
    if (part === "..") beyond.pop();
    else if (part !== "" && part !== ".") beyond.push(part);
  }
  return beyond;
}

/** Path of a name in a folder. INVALID_ARGUMENT for one that no system call takes (too long). */
export function pathIn(folder: string, name: string): string {
  const at = `${folder}/${name}`;
  if (name.length > maxNameBytes || at.length > maxPathBytes) throw tooLong(at);
  return at;
}

/** A path for Node's fs: a string where it is ASCII, which is quicker, else bytes. */
export function osPath(at: string): string | Buffer {
  if (at === "") return "/";
  for (let index = 0; index < at.length; index += 1) {
    if (at.charCodeAt(index) > 0x7f) return bytesOf(at);
  }
  return at;
}

export function bytesOf(at: string): Buffer {
  return Buffer.from(at === "" ? "/" : at, "latin1");
}
