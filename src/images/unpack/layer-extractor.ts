// SPDX-License-Identifier: Apache-2.0
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  openSync,
  type Stats,
  symlinkSync,
  writeSync,
} from "node:fs";
import { errnoOf, fault } from "../../base/errors.ts";
import { beginWriteBack } from "../../base/os/file-ranges.ts";
import {
  makeDevice,
  setAttribute,
  setAttributeOf,
  setTimes,
  setTimesOf,
} from "../../base/os/inode.ts";
import { isWhiteout } from "../../base/os/overlay.ts";
import type { TarEntry, TarSink } from "../tar/tar-reader.ts";
import type { TreeUsage } from "./counted-usage.ts";
import {
  type EntryPath,
  entryPath,
  linkParts,
  plinkFolder,
  plinkName,
  quotedName,
} from "./entry-path.ts";
import type { Whiteouts } from "./extract-layer.ts";
import { maxRemembered } from "./known-folders.ts";
import { type LaterLink, LaterLinks, type LowerLink } from "./later-links.ts";
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
/** Until it is closed a file may have more blocks than it keeps, which the file system takes ahead for longer ones. */
const noBlocksAheadBytes = 64 * 1024;
/** Pieces of large files are written to the disk while more is extracted: the flush at the end waits for less. */
const earlyBytes = 4 * 1024 * 1024;
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
  /** Members that were left out for their types or names, a few of them. */
  readonly leftOut: string[] = [];
  readonly #later = new LaterLinks();
  #hasPlinks = false;
  #entries = 0;
  #bytes = 0;
  #file: { readonly fd: number; readonly at: string; readonly entry: TarEntry } | undefined;

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
    if (this.#removes) this.tree.usage.lose();
  }

  /** What was made takes so much, once it is finished; undefined when only a walk can tell. */
  get usage(): TreeUsage | undefined {
    return this.tree.usage.total();
  }

  entry(entry: TarEntry): void {
    this.#step();
    this.#count(entry);
    if (this.#isPlain && entry.type !== "file" && entry.type !== "directory") {
      throw fault("INVALID_ARGUMENT", `entry ${quotedName(entry.name)} is a ${entry.type}`);
    }
    // What we write has none: somebody wants out.
    if (this.#isPlain && entry.name.split("/").includes("..")) {
      throw fault("INVALID_ARGUMENT", `entry ${quotedName(entry.name)} leads elsewhere`);
    }
    const path = entryPath(entry.name);
    switch (path.kind) {
      case "ignored":
        return this.#ignored(entry);
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
    const end = position + chunk.length;
    const from = Math.floor(position / earlyBytes) * earlyBytes;
    if (end - from >= earlyBytes) beginWriteBack(this.#file.fd, from, earlyBytes);
  }

  end(): void {
    if (!this.#file) return;
    const { fd, at, entry } = this.#file;
    this.#file = undefined;
    if (entry.size !== entry.storedBytes) ftruncateSync(fd, entry.size);
    // Most are as they should be from the start: one look is less than setting it all.
    const { uid, gid, mode, blocks } = fstatSync(fd);
    const [owner, group] = [asOwner(entry.uid), asOwner(entry.gid)];
    if (uid !== owner || gid !== group) fchownSync(fd, owner, group);
    if ((mode & 0o7777) !== entry.mode) fchmodSync(fd, entry.mode);
    forEachAttribute(entry, (name, value) => setAttributeOf(fd, name, value));
    const time = bounded(entry.mtime);
    setTimesOf(fd, time, time);
    closeSync(fd);
    const isCounted = entry.size <= noBlocksAheadBytes && entry.xattrs.size === 0;
    if (isCounted) this.tree.usage.add(blocks);
    else this.tree.count(at);
  }

  unknown(flag: string, name: string): void {
    this.#step();
    this.#countEntry();
    this.#leaveOut(name, `of type "${flag}"`);
  }

  /**
   * Call once the archive is complete. Answers the hard links that lead to nothing of this layer, in the order in which
   * they can be made over the layers below.
   */
  finish(): readonly LowerLink[] {
    const below = this.#later.settle({
      target: (link) => {
        this.#step();
        const { at, stat } = this.tree.find(linkParts(link.linkName));
        return { at, isThere: isLinkable(stat) };
      },
      make: (link, target) => this.#linkLate(link, target),
    });
    if (this.#hasPlinks) this.tree.remove(this.tree.root, plinkFolder);
    const kept = below.filter(({ at }) => this.#hasPlace(at));
    this.tree.finishFolders();
    return kept;
  }

  /** False when a later member has taken a link's place, or its folder's. A whiteout, which concerns other layers, goes. */
  #hasPlace(at: string): boolean {
    this.#step();
    const parts = at.slice(1).split("/");
    const { at: place, stat } = this.tree.find(parts);
    if (place !== at) return false;
    const base = parts.pop() ?? "";
    if (stat === undefined) return parts.length === 0 || isFolder(this.tree.find(parts).stat);
    if (!isWhiteout(stat)) return false;
    this.tree.clear(this.tree.folder(parts), base, stat);
    return true;
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

  /** Of what is aufs' own, files with several names are there until those are made. */
  #ignored(entry: TarEntry): void {
    const base = entry.type === "file" ? plinkName(entry.name) : undefined;
    if (base === undefined) return;
    if (!this.#hasPlinks) {
      this.tree.remove(this.tree.root, plinkFolder);
      this.tree.makeFolder(`/${plinkFolder}`, undefined);
      this.#hasPlinks = true;
    }
    const folder = this.tree.enter(this.tree.root, plinkFolder);
    this.tree.remove(folder, base);
    this.#make(pathIn(folder.at, base), entry);
  }

  #leaveOut(name: string, why: string): void {
    if (this.leftOut.length < shownLeftOut) this.leftOut.push(`${quotedName(name)} ${why}`);
  }

  /**
   * Passed over, as by containerd: whatever an archive says of it, the root of a layer is root's, with mode 0755. Some tools
   * write a file without a name.
   */
  #root({ type, name }: TarEntry): void {
    if (type !== "directory") this.#leaveOut(name, "in place of the root");
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
    if (existing === undefined) {
      makeDevice(bytesOf(at), typeBits.character, 0, 0);
      this.tree.count(at);
    } else if (existing.isDirectory()) this.tree.makeOpaque(at);
  }

  #plain({ parent, base }: Extract<EntryPath, { kind: "plain" }>, entry: TarEntry): void {
    const folder = this.tree.folder(parent);
    const at = pathIn(folder.at, base);
    // Most members are files, and most names are free: making one tells, without a look before.
    if (entry.type === "hardlink") this.#link(folder, base, entry);
    else if (entry.type !== "file" || !this.#madeFile(at, entry)) {
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
    this.tree.setTimeLater(folder, bounded(entry.mtime));
  }

  #make(at: string, entry: TarEntry): void {
    switch (entry.type) {
      case "file":
        // No set-id bits before it has its owner and its bytes.
        this.#file = { fd: openSync(osPath(at), newFile, entry.mode & 0o777), at, entry };
        return;
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
      case "hardlink":
        throw fault("INTERNAL", `a ${entry.type} is made elsewhere`);
    }
  }

  /** Another name of the same inode. */
  #link(folder: Place, base: string, entry: TarEntry): void {
    const { linkName } = entry;
    const at = pathIn(folder.at, base);
    const link = { at, linkName };
    const { at: from, stat } = this.tree.find(linkParts(linkName));
    const isThere = isLinkable(stat);
    // To itself: the name stays what it is.
    if (isThere && from === at) return;
    this.tree.remove(folder, base);
    // What was removed may have been its folder.
    if (!isThere || !couldLink(from, at)) this.#later.add(link);
    else this.#redress(at, stat, entry);
  }

  /** What a link's own header says counts for the file, as in containerd and Docker. */
  #redress(at: string, stat: Stats, entry: TarEntry): void {
    const [owner, group] = [asOwner(entry.uid), asOwner(entry.gid)];
    // Only what differs: setting an owner, even the same, takes capabilities away.
    const isOthers = stat.uid !== owner || stat.gid !== group;
    if (isOthers) lchownSync(osPath(at), owner, group);
    const isMode = (stat.mode & 0o7777) === entry.mode;
    if (!stat.isSymbolicLink() && (isOthers || !isMode)) chmodSync(osPath(at), entry.mode);
    forEachAttribute(entry, (name, value) => setAttribute(bytesOf(at), name, value));
    const time = bounded(entry.mtime);
    setTimes(bytesOf(at), time, time);
  }

  #linkLate({ at }: LaterLink, target: string): void {
    if (target === at) return;
    const parts = at.slice(1).split("/");
    const base = parts.pop() ?? "";
    const folder = this.tree.folder(parts);
    const place = pathIn(folder.at, base);
    const existing = this.tree.stat(place);
    if (existing && !isWhiteout(existing)) return; // by a later member
    if (existing) this.tree.clear(folder, base, existing);
    if (!couldLink(target, place)) throw noFile(target);
  }

  #dress(at: string, entry: TarEntry): void {
    const path = bytesOf(at);
    lchownSync(osPath(at), asOwner(entry.uid), asOwner(entry.gid));
    if (entry.type !== "symlink") chmodSync(osPath(at), entry.mode);
    forEachAttribute(entry, (name, value) => setAttribute(path, name, value));
    // Each file put into a folder changes the folder's time, so a folder's is set last.
    if (entry.type === "directory") return;
    const time = bounded(entry.mtime);
    setTimes(path, time, time);
    this.tree.count(at);
  }
}

/** As chown(2) takes a negative number: -1 is nobody, and leaves the file to root. */
function asOwner(id: number): number {
  return id < 0 && id >= -(2 ** 31) ? id >>> 0 : id;
}

/** The last whole second that fits 64 bits of nanoseconds, in 2262. */
const latestSeconds = 9_223_372_036;

/** A time out of range, also one before 1970, becomes 1970, as in Docker and containerd. */
function bounded(time: TarEntry["mtime"]): TarEntry["mtime"] {
  const isInRange = time.seconds >= 0 && time.seconds < latestSeconds;
  return isInRange ? time : { seconds: 0, nanos: 0 };
}

function isFolder(stat: Stats | undefined): boolean {
  return stat?.isDirectory() === true;
}

function isLinkable(stat: Stats | undefined): stat is Stats {
  return stat !== undefined && !stat.isDirectory() && !isWhiteout(stat);
}

/** False where the target is gone. */
function couldLink(target: string, at: string): boolean {
  try {
    linkSync(osPath(target), osPath(at));
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

export function noFile(target: string): Error {
  return fault("INVALID_ARGUMENT", `layer has a hard link to no file: ${quotedName(target)}`);
}

/**
 * What no archive may set: overlayfs' own marks would be forged whiteouts, and other attributes of the node's administrators
 * containerd and Docker leave out as well.
 */
export function isReserved(name: string): boolean {
  return /^(trusted|user\.overlay)\./.test(name);
}

function forEachAttribute(entry: TarEntry, set: (name: string, value: Buffer) => void): void {
  for (const [name, value] of entry.xattrs) {
    if (isReserved(name)) continue;
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
