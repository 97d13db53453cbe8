// SPDX-License-Identifier: Apache-2.0
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  openSync,
  type Stats,
  symlinkSync,
  writeSync,
} from "node:fs";
import { errnoOf, fault } from "../../base/errors.ts";
import {
  makeDevice,
  setAttribute,
  setAttributeOf,
  setTimes,
  setTimesOf,
} from "../../base/os/inode.ts";
import { isWhiteout } from "../../base/os/overlay.ts";
import type { TarEntry, TarSink } from "../tar/tar-reader.ts";
import { cleanPath, type EntryPath, entryPath, quotedName } from "./entry-path.ts";
import type { Whiteouts } from "./extract-layer.ts";
import { maxRemembered } from "./known-folders.ts";
import { bytesOf, LayerTree, osPath, type Place, pathIn } from "./layer-tree.ts";

export interface LayerLimits {
  readonly entries: number;
  /** Of one file, holes included. */
  readonly fileBytes: number;
  /** Of all stored bytes. */
  readonly totalBytes: number;
  /** Folders, all of which are remembered; also other members where other layers' files lie in the same tree. */
  readonly folders: number;
}

export const defaultLayerLimits: LayerLimits = {
  entries: 10_000_000,
  fileBytes: 2 ** 42,
  totalBytes: 2 ** 40,
  folders: maxRemembered,
};

export interface LayerExtractorOptions {
  readonly limits?: LayerLimits;
  /** Default "overlay". */
  readonly whiteouts?: Whiteouts;
  /** Refuse what is neither a file nor a folder. */
  readonly isPlain?: boolean;
  /** Called for each piece of work done. */
  readonly step?: () => void;
}

const shownLeftOut = 5;
const typeBits = { fifo: 0o010000, character: 0o020000, block: 0o060000 } as const;
const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Puts the members of a layer's archive into the tree below "/", in overlayfs' terms: a deletion is a 0:0 character
 * device, a replaced folder carries `trusted.overlay.opaque`. It must run chrooted.
 *
 * What a member looks like is set in one order: owner (which clears set-id bits and capabilities), mode, attributes,
 * time. A whiteout concerns the layers below and never removes a member of its own layer.
 */
export class LayerExtractor implements TarSink {
  readonly tree: LayerTree;
  readonly #step: () => void;
  readonly #limits: LayerLimits;
  readonly #removes: boolean;
  readonly #isPlain: boolean;
  /** Members that were left out for their types, a few of them. */
  readonly leftOut: string[] = [];
  #entries = 0;
  #bytes = 0;
  #file: { readonly fd: number; readonly entry: TarEntry } | undefined;

  constructor({
    limits = defaultLayerLimits,
    whiteouts = "overlay",
    isPlain = false,
    step = () => {},
  }: LayerExtractorOptions = {}) {
    this.tree = new LayerTree(step, limits.folders);
    this.#step = step;
    this.#limits = limits;
    this.#removes = whiteouts === "remove";
    this.#isPlain = isPlain;
  }

  entry(entry: TarEntry): void {
    this.#step();
    this.#count(entry);
    if (this.#isPlain && entry.type !== "file" && entry.type !== "directory") {
      throw fault("INVALID_ARGUMENT", `entry ${quotedName(entry.name)} is a ${entry.type}`);
    }
    const path = entryPath(entry.name);
    switch (path.kind) {
      case "ignored":
        return;
      case "root":
        return this.#root(entry);
      case "opaque":
        return this.#opaque(path.folder);
      case "whiteout":
        return this.#whiteout(path);
      case "plain":
        return this.#plain(path, entry);
    }
  }

  data(chunk: Buffer, position: number): void {
    if (!this.#file) return;
    this.#step();
    for (let done = 0; done < chunk.length; ) {
      done += writeSync(this.#file.fd, chunk, done, chunk.length - done, position + done);
    }
  }

  end(): void {
    if (!this.#file) return;
    const { fd, entry } = this.#file;
    this.#file = undefined;
    if (entry.size !== entry.storedBytes) ftruncateSync(fd, entry.size);
    fchownSync(fd, entry.uid, entry.gid);
    fchmodSync(fd, entry.mode);
    forEachAttribute(entry, (name, value) => setAttributeOf(fd, name, value));
    setTimesOf(fd, entry.mtime, entry.mtime);
    closeSync(fd);
  }

  unknown(flag: string, name: string): void {
    this.#step();
    this.#countEntry();
    if (this.leftOut.length < shownLeftOut)
      this.leftOut.push(`${quotedName(name)} of type "${flag}"`);
  }

  /** Call once the archive is complete. */
  finish(): void {
    this.tree.finishTimes();
  }

  #count(entry: TarEntry): void {
    this.#countEntry();
    this.#bytes += entry.storedBytes;
    if (entry.size > this.#limits.fileBytes || this.#bytes > this.#limits.totalBytes) {
      throw fault("RESOURCE_EXHAUSTED", `layer is too large at ${quotedName(entry.name)}`);
    }
  }

  #countEntry(): void {
    this.#entries += 1;
    if (this.#entries <= this.#limits.entries) return;
    throw fault("RESOURCE_EXHAUSTED", `layer has more than ${this.#limits.entries} files`);
  }

  #root(entry: TarEntry): void {
    if (entry.type !== "directory") {
      throw fault("INVALID_ARGUMENT", `layer replaces its root by a ${entry.type}`);
    }
    this.#dress("", entry);
    this.tree.setTimeLater(this.tree.root, entry.mtime);
  }

  #opaque(parts: readonly string[]): void {
    const folder = this.tree.folder(parts);
    if (this.#removes) this.tree.emptyOlder(folder);
    else this.tree.makeOpaque(folder.at);
  }

  #whiteout({ parent, base }: Extract<EntryPath, { kind: "whiteout" }>): void {
    const folder = this.tree.folder(parent);
    const at = pathIn(folder.at, base);
    const existing = this.tree.stat(at);
    if (this.#removes) {
      if (existing) this.tree.removeOlder(folder, base, existing);
      return;
    }
    if (existing === undefined) makeDevice(bytesOf(at), typeBits.character, 0, 0);
    else if (existing.isDirectory()) this.tree.makeOpaque(at);
  }

  #plain({ parent, base }: Extract<EntryPath, { kind: "plain" }>, entry: TarEntry): void {
    const folder = this.tree.folder(parent);
    const at = pathIn(folder.at, base);
    // Most members are files, and most names are free: making one tells, without a look before.
    if (entry.type !== "file" || !this.#madeFile(at, entry)) {
      const existing = this.tree.stat(at);
      if (entry.type === "directory") this.#folder(folder, base, existing, entry);
      else {
        if (existing) this.tree.clear(folder, base, existing);
        this.#make(at, entry);
      }
    }
    if (this.#removes) this.tree.own(folder, base);
  }

  /** Makes a file where nothing is; false where something is. */
  #madeFile(at: string, entry: TarEntry): boolean {
    try {
      this.#make(at, entry);
      return true;
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return false;
      throw error;
    }
  }

  #folder(parent: Place, name: string, existing: Stats | undefined, entry: TarEntry): void {
    const at = pathIn(parent.at, name);
    if (!existing?.isDirectory()) {
      const isReplaced = existing !== undefined && isWhiteout(existing);
      if (existing && !isReplaced) this.tree.clear(parent, name, existing);
      this.tree.makeFolder(at, isReplaced ? existing : undefined);
    }
    const folder = this.tree.enter(parent, name);
    this.#dress(at, entry);
    this.tree.setTimeLater(folder, entry.mtime);
  }

  #make(at: string, entry: TarEntry): void {
    switch (entry.type) {
      case "file":
        this.#file = { fd: openSync(osPath(at), newFile, 0o600), entry };
        return;
      case "hardlink":
        // Another name of the same inode: owner, mode and times were set with the first.
        return this.#link(at, entry);
      case "symlink":
        // The kernel would answer ENOENT, as if the folder were missing.
        if (entry.linkName === "") {
          const name = quotedName(entry.name);
          throw fault("INVALID_ARGUMENT", `layer has a symbolic link to nothing: ${name}`);
        }
        symlinkSync(Buffer.from(entry.linkName, "latin1"), osPath(at));
        return this.#dress(at, entry);
      case "fifo":
      case "character":
      case "block":
        makeDevice(bytesOf(at), typeBits[entry.type] | 0o600, entry.major, entry.minor);
        return this.#dress(at, entry);
      case "directory":
        throw fault("INTERNAL", "a folder is made elsewhere");
    }
  }

  #link(at: string, entry: TarEntry): void {
    const parts = cleanPath(entry.linkName);
    const base = parts.pop();
    if (base === undefined) {
      throw fault(
        "INVALID_ARGUMENT",
        `layer has a hard link to its root: ${quotedName(entry.name)}`,
      );
    }
    const target = pathIn(this.tree.folder(parts).at, base);
    const stat = this.tree.stat(target);
    if (stat === undefined || stat.isDirectory() || isWhiteout(stat)) {
      const link = quotedName(entry.linkName);
      throw fault("INVALID_ARGUMENT", `layer has a hard link to no file: ${link}`);
    }
    linkSync(osPath(target), osPath(at));
  }

  #dress(at: string, entry: TarEntry): void {
    const path = bytesOf(at);
    lchownSync(osPath(at), entry.uid, entry.gid);
    if (entry.type !== "symlink") chmodSync(osPath(at), entry.mode);
    forEachAttribute(entry, (name, value) => setAttribute(path, name, value));
    // Each file put into a folder changes the folder's time, so a folder's is set last.
    if (entry.type !== "directory") setTimes(path, entry.mtime, entry.mtime);
  }
}

/** overlayfs' own marks in an archive would be forged whiteouts: they are left out. */
export function isOverlayMark(name: string): boolean {
  return /^(trusted|user)\.overlay\./.test(name);
}

function forEachAttribute(entry: TarEntry, set: (name: string, value: Buffer) => void): void {
  for (const [name, value] of entry.xattrs) {
    if (isOverlayMark(name)) continue;
    try {
      set(name, value);
    } catch (error) {
      // The file system, or this type of file, has no such attributes: what runs here cannot miss them.
      const errno = errnoOf(error);
      const isUserOnSpecial = errno === "EPERM" && name.startsWith("user.");
      if (errno !== "ENOTSUP" && errno !== "EOPNOTSUPP" && !isUserOnSpecial) throw error;
    }
  }
}
