// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync } from "node:fs";
import { linkAt, makeFolderAt, openAt, openFolder } from "../../base/os/at.ts";
import { attributeOf } from "../../base/os/attributes.ts";
import { type FileFacts, FileType, factsIfAny, factsOf } from "../../base/os/file-facts.ts";
import { setTimesOf } from "../../base/os/inode.ts";
import { type CopyTarget, copyFile, dress } from "../../trees/copy-file.ts";
import { CopyMeter } from "../../trees/copy-meter.ts";
import { Descriptors } from "../../trees/descriptors.ts";
import type { LowerLink } from "./later-links.ts";
import { noFile } from "./layer-extractor.ts";

/** What a layer takes beside what its archive holds. */
export interface AddedUsage {
  readonly sizeBytes: number;
  readonly inodes: number;
}

/** A layer's folder, and those below it, top first. */
export interface LayerOverLowers {
  readonly layer: string;
  readonly lowers: readonly string[];
}

/**
 * Makes hard links to files of the layers below, as the kernel does on an overlay: the file is copied up, with the
 * folders that it lies in, and gets its further name. Paths are bytes, one character each. No link is followed. Folders
 * keep their times. Nothing is flushed to the disk. INVALID_ARGUMENT where no layer has the file, or one hides it.
 */
export function makeLowerLinks(
  { layer, lowers }: LayerOverLowers,
  links: Iterable<LowerLink>,
  step: () => void,
): AddedUsage {
  using roots = new DisposableStack();
  const root = (folder: string): number => roots.use(opened(openSync(folder, "r"))).fd;
  const linker = new Linker(root(layer), lowers.map(root), step);
  for (const link of links) linker.make(link);
  return linker.added;
}

class Linker {
  readonly #own: number;
  readonly #lowers: readonly number[];
  readonly #step: () => void;
  readonly #into: CopyTarget = {
    links: -1, // each file is copied with one name
    mappings: undefined,
    descriptors: new Descriptors(),
    meter: new CopyMeter(),
  };
  #blocks = 0;
  #inodes = 0;

  constructor(own: number, lowers: readonly number[], step: () => void) {
    this.#own = own;
    this.#lowers = lowers;
    this.#step = step;
  }

  get added(): AddedUsage {
    return { sizeBytes: this.#blocks * 512, inodes: this.#inodes };
  }

  make({ at, target }: LowerLink): void {
    this.#step();
    const [from, to] = [pathOf(target), pathOf(at)];
    const own = fileIn(this.#own, from);
    if (own === "hidden") throw noFile(target);
    if (own !== "nothing") {
      using there = own;
      this.#link(there, to, target);
      return;
    }
    using lower = this.#below(from, fileIn);
    if (lower === undefined) throw noFile(target);
    if (at === target) return; // it shows through
    using folder = this.#folder(from.folder);
    keepingTimes(folder.fd, () => this.#copy(lower, folder.fd));
    this.#link({ fd: folder.fd, name: from.name }, to, target);
  }

  #link({ fd, name }: Pick<Found, "fd" | "name">, to: LinkPath, target: string): void {
    const folder = folderIn(this.#own, to);
    if (typeof folder === "string") throw noFile(target);
    using there = folder;
    keepingTimes(there.fd, () => linkAt(fd, name, there.fd, to.name));
  }

  #copy({ fd: source, name, facts }: Found, target: number): void {
    const from = { name, source, target, layer: 0, facts: { ...facts, links: 1 } };
    for (const _piece of copyFile(from, this.#into)) this.#step();
    this.#inodes += 1;
    this.#blocks += factsIfAny(target, name)?.blocks ?? 0;
  }

  /** Opens a folder of the layer, and makes what is missing of its path. */
  #folder(path: readonly Buffer[]): Opened {
    using way = new Way(this.#own);
    for (const [depth, name] of path.entries()) {
      if (factsIfAny(way.fd, name) === undefined) {
        keepingTimes(way.fd, () => makeFolderAt(way.fd, name, 0o755));
        way.enter(name);
        this.#dress(way.fd, path.slice(0, depth + 1));
      } else way.enter(name);
    }
    return opened(way.leave());
  }

  /** Makes a folder look as in the layers below. */
  #dress(folder: number, path: readonly Buffer[]): void {
    this.#inodes += 1;
    using lower = this.#below({ folder: path, name: nothing }, folderIn);
    if (lower) dress(lower.fd, folder, factsOf(lower.fd), this.#into);
  }

  /** The topmost of this path in the layers below. */
  #below<T extends Opened>(
    path: LinkPath,
    look: (root: number, path: LinkPath) => T | Absent,
  ): T | undefined {
    for (const root of this.#lowers) {
      this.#step();
      const found = look(root, path);
      if (found === "hidden") return undefined;
      if (found !== "nothing") return found;
    }
    return undefined;
  }
}

interface LinkPath {
  readonly folder: readonly Buffer[];
  readonly name: Buffer;
}

interface Opened extends Disposable {
  readonly fd: number;
}

/** A file by its name in an open folder. */
interface Found extends Opened {
  readonly name: Buffer;
  readonly facts: FileFacts;
}

/** What a layer has of a path where it has no such thing: nothing, or what hides the layers below. */
type Absent = "nothing" | "hidden";

/** A folder that one walks down from, by one open descriptor at a time. */
class Way implements Disposable {
  #fd: number | undefined;
  isOpaque: boolean;

  constructor(root: number) {
    this.#fd = openAt(root, Buffer.from("."), openFolder);
    this.isOpaque = isOpaque(this.#fd);
  }

  get fd(): number {
    return this.#fd ?? -1;
  }

  enter(name: Buffer): void {
    const next = openAt(this.fd, name, openFolder);
    closeSync(this.fd);
    this.#fd = next;
    this.isOpaque ||= isOpaque(next);
  }

  /** Its descriptor, which is the caller's from now on. */
  leave(): number {
    const { fd } = this;
    this.#fd = undefined;
    return fd;
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
  }
}

function folderIn(root: number, { folder }: LinkPath): (Opened & { isOpaque: boolean }) | Absent {
  using way = new Way(root);
  for (const name of folder) {
    const facts = factsIfAny(way.fd, name);
    if (facts === undefined) return way.isOpaque ? "hidden" : "nothing";
    if (typeOf(facts) !== FileType.folder) return "hidden";
    way.enter(name);
  }
  const { isOpaque: hides } = way;
  return { ...opened(way.leave()), isOpaque: hides };
}

function fileIn(root: number, path: LinkPath): Found | Absent {
  const folder = folderIn(root, path);
  if (typeof folder === "string") return folder;
  using undo = new DisposableStack();
  undo.use(folder);
  const { name } = path;
  const facts = factsIfAny(folder.fd, name);
  if (facts === undefined) return folder.isOpaque ? "hidden" : "nothing";
  if (!isFile(facts)) return "hidden";
  undo.move();
  return { ...folder, name, facts };
}

/** What may have a further name, and is no overlayfs whiteout. */
function isFile(facts: FileFacts): boolean {
  const type = typeOf(facts);
  if (type === FileType.folder || type === FileType.socket) return false;
  const isDevice = type === FileType.characterDevice;
  return !isDevice || facts.deviceMajor !== 0 || facts.deviceMinor !== 0;
}

function isOpaque(folder: number): boolean {
  return attributeOf(folder, "trusted.overlay.opaque")?.toString() === "y";
}

function typeOf({ mode }: FileFacts): number {
  return mode & FileType.mask;
}

/** What is put into a folder changes its time. */
function keepingTimes(folder: number, work: () => void): void {
  const { accessed, modified } = factsOf(folder);
  work();
  setTimesOf(folder, accessed, modified);
}

function opened(fd: number): Opened {
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

const nothing = Buffer.alloc(0);

function pathOf(text: string): LinkPath {
  const parts = text.split("/").filter((part) => part !== "");
  const name = Buffer.from(parts.pop() ?? "", "latin1");
  return { folder: parts.map((part) => Buffer.from(part, "latin1")), name };
}
