// SPDX-License-Identifier: Apache-2.0
import { openSync } from "node:fs";
import { errnoOf, fault } from "../../base/errors.ts";
import { linkAt, makeFolderAt, readlinkAt, unlinkAt } from "../../base/os/at.ts";
import {
  type FileFacts,
  FileType,
  factsAt,
  factsIfAny,
  factsOf,
} from "../../base/os/file-facts.ts";
import { setTimesOf } from "../../base/os/inode.ts";
import { type CopyTarget, copyFile, dress } from "../../trees/copy-file.ts";
import { CopyMeter } from "../../trees/copy-meter.ts";
import { Descriptors } from "../../trees/descriptors.ts";
import { quotedName } from "./entry-path.ts";
import type { LowerLink } from "./later-links.ts";
import { noFile } from "./layer-extractor.ts";
import {
  type Absent,
  type Found,
  fileIn,
  folderIn,
  type LayerPath,
  type Opened,
  opened,
  partsOf,
  passageIn,
  pathOf,
  typeOf,
  Way,
} from "./layer-paths.ts";

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

export interface LinkWatch {
  /** Called for each piece of work done. */
  readonly step: () => void;
  /** How much may be copied. */
  readonly mostBytes: number;
}

/** As in the kernel. */
const maxSymbolicLinks = 40;

/**
 * Makes hard links to files of the layers below, as the kernel does on an overlay: the file is copied up, once, with the
 * folders that it lies in, and gets its further name. Where the layer itself has deleted or replaced the file's own name,
 * the file gets the link's name alone: the link was made before. Paths are bytes, one character each. Symbolic links on the
 * way to the file are followed within the layers. Folders keep their times. Nothing is flushed to the disk.
 * INVALID_ARGUMENT where no layer has the file, or one below hides it; RESOURCE_EXHAUSTED for more bytes than are allowed.
 */
export function makeLowerLinks(
  { layer, lowers }: LayerOverLowers,
  links: Iterable<LowerLink>,
  watch: LinkWatch,
): AddedUsage {
  using roots = new DisposableStack();
  const root = (folder: string): number => roots.use(opened(openSync(folder, "r"))).fd;
  const all = [...links];
  const places = new Set(all.map(({ at }) => at));
  const linker = new Linker(root(layer), lowers.map(root), places, watch);
  for (const link of all) linker.make(link);
  return linker.added;
}

class Linker {
  readonly #own: number;
  readonly #lowers: readonly number[];
  /** Where links are to be. */
  readonly #places: ReadonlySet<string>;
  readonly #watch: LinkWatch;
  readonly #into: CopyTarget = {
    links: -1, // `#copies` knows them
    mappings: undefined,
    descriptors: new Descriptors(),
    meter: new CopyMeter(),
  };
  /** By their originals. */
  readonly #copies = new Map<string, Copied>();
  #blocks = 0;
  #inodes = 0;

  constructor(
    own: number,
    lowers: readonly number[],
    places: ReadonlySet<string>,
    watch: LinkWatch,
  ) {
    this.#own = own;
    this.#lowers = lowers;
    this.#places = places;
    this.#watch = watch;
  }

  get added(): AddedUsage {
    return { sizeBytes: this.#blocks * 512, inodes: this.#inodes };
  }

  make({ at, target }: LowerLink): void {
    this.#watch.step();
    const to = pathOf(at);
    if (this.#linked(pathOf(target), to)) return;
    const from = this.#resolved(target);
    if (from === undefined || !this.#linked(from, to)) throw noFile(target);
  }

  /** False when there is no such file. */
  #linked(from: LayerPath, to: LayerPath): boolean {
    const own = fileIn(this.#own, from);
    if (typeof own !== "string") {
      using there = own;
      this.#link(there, to);
      return true;
    }
    using lower = this.#below(from, fileIn);
    if (lower === undefined) return false;
    if (own === "nothing") {
      if (shown(from) === shown(to)) return true; // it shows through
      if (this.#isReplaced(from.folder)) {
        this.#copyTo(lower, to);
        return true;
      }
      this.#copyUp(lower, from);
      using copy = this.#ownFile(from);
      this.#link(copy, to);
    } else this.#copyTo(lower, to);
    return true;
  }

  /** Whether a link comes in place of a folder of the layers below, and of all in it. */
  #isReplaced(folder: readonly Buffer[]): boolean {
    let at = "";
    return folder.some((name) => {
      at += `/${name.toString("latin1")}`;
      return this.#places.has(at);
    });
  }

  #link({ fd, name, facts }: Found, to: LayerPath): void {
    using there = this.#place(to);
    const before = factsIfAny(there.fd, to.name);
    if (before !== undefined && inodeOf(before) === inodeOf(facts)) return;
    keepingTimes(there.fd, () => {
      free(there.fd, to, before);
      linkAt(fd, name, there.fd, to.name);
    });
  }

  /** The file gets its own place in the layer. */
  #copyUp(lower: Lower, path: LayerPath): void {
    using folder = this.#folder(path.folder);
    keepingTimes(folder.fd, () => {
      using copy = this.#copyOf(lower);
      if (copy && couldLink(copy, folder.fd, path.name)) return;
      this.#copy(lower, folder.fd, path);
    });
  }

  /** The file gets the link's place alone. */
  #copyTo(lower: Lower, to: LayerPath): void {
    using copy = this.#copyOf(lower);
    if (copy) return this.#link(copy, to);
    using there = this.#place(to);
    keepingTimes(there.fd, () => {
      free(there.fd, to, factsIfAny(there.fd, to.name));
      this.#copy(lower, there.fd, to);
    });
  }

  /** A copy that was made before, also of another name of the same file. */
  #copyOf({ layer, facts }: Lower): Found | undefined {
    const known = this.#copies.get(keyOf(layer, facts));
    const copy = known && fileIn(this.#own, known.path);
    if (known === undefined || copy === undefined || typeof copy === "string") return undefined;
    if (inodeOf(copy.facts) === known.inode) return copy;
    copy[Symbol.dispose]();
    return undefined;
  }

  #copy({ fd: source, name, facts, layer }: Lower, target: number, path: LayerPath): void {
    const from = { name, as: path.name, source, target, layer: 0, facts: { ...facts, links: 1 } };
    for (const _piece of copyFile(from, this.#into)) this.#count();
    this.#count();
    this.#inodes += 1;
    const copy = factsAt(target, path.name);
    this.#blocks += copy.blocks;
    this.#copies.set(keyOf(layer, facts), { path, inode: inodeOf(copy) });
  }

  #count(): void {
    const { step, mostBytes } = this.#watch;
    step();
    if (this.#into.meter.size.bytes <= mostBytes) return;
    throw fault(
      "RESOURCE_EXHAUSTED",
      `layer is too large: its hard links copy more than ${mostBytes} bytes from the layers below`,
    );
  }

  #ownFile(path: LayerPath): Found {
    const found = fileIn(this.#own, path);
    if (typeof found !== "string") return found;
    throw fault("INTERNAL", `no copy at ${shown(path)}`);
  }

  /** The folder where a link is to be, which the layer has. */
  #place(to: LayerPath): Opened {
    const folder = folderIn(this.#own, to);
    if (typeof folder !== "string") return folder;
    throw fault("INVALID_ARGUMENT", `layer has a hard link in what is no folder: ${shown(to)}`);
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

  /** A path whose folder is reached without symbolic links of the layers below; undefined where there is none. */
  #resolved(target: string): LayerPath | undefined {
    const { folder, name } = pathOf(target);
    const way: Buffer[] = [];
    const rest = folder.toReversed();
    let links = 0;
    for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
      const text = part.toString("latin1");
      if (text === ".") continue;
      if (text === "..") {
        way.pop();
        continue;
      }
      using found = this.#below({ folder: way, name: part }, passageIn);
      if (found === undefined) return undefined;
      if (typeOf(found.facts) === FileType.folder) {
        way.push(part);
        continue;
      }
      links += 1;
      if (links > maxSymbolicLinks) {
        throw fault("INVALID_ARGUMENT", `too many links in ${quotedName(target)}`);
      }
      const leadsTo = readlinkAt(found.fd, part).toString("latin1");
      if (leadsTo.startsWith("/")) way.length = 0;
      rest.push(...partsOf(leadsTo).reverse());
    }
    return links === 0 ? undefined : { folder: way, name };
  }

  /** The topmost of this path in the layers below. */
  #below<T extends Opened>(
    path: LayerPath,
    look: (root: number, path: LayerPath) => T | Absent,
  ): (T & { readonly layer: number }) | undefined {
    for (const [layer, root] of this.#lowers.entries()) {
      this.#watch.step();
      const found = look(root, path);
      if (found === "hidden") return undefined;
      if (found !== "nothing") return { ...found, layer };
    }
    return undefined;
  }
}

/** A file of a layer below. */
interface Lower extends Found {
  readonly layer: number;
}

/** A copy in the layer: its place, and what is there unless another link has taken that since. */
interface Copied {
  readonly path: LayerPath;
  readonly inode: string;
}

function keyOf(layer: number, facts: FileFacts): string {
  return `${layer}-${inodeOf(facts)}`;
}

function inodeOf({ inodeHigh, inodeLow }: FileFacts): string {
  return `${inodeHigh}-${inodeLow}`;
}

/** What the layer's own members have is never in the way of a link, but copies for other links may be. */
function free(folder: number, to: LayerPath, before: FileFacts | undefined): void {
  if (before === undefined) return;
  if (typeOf(before) !== FileType.folder) return unlinkAt(folder, to.name, false);
  throw fault("INVALID_ARGUMENT", `layer has a hard link in place of a folder: ${shown(to)}`);
}

/** False when it can have no more names. */
function couldLink({ fd, name }: Found, folder: number, newName: Buffer): boolean {
  try {
    linkAt(fd, name, folder, newName);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EMLINK") return false;
    throw error;
  }
}

/** What is put into a folder changes its time. */
function keepingTimes(folder: number, work: () => void): void {
  const { accessed, modified } = factsOf(folder);
  work();
  setTimesOf(folder, accessed, modified);
}

const nothing = Buffer.alloc(0);

function shown({ folder, name }: LayerPath): string {
  return quotedName(`/${[...folder, name].map((part) => part.toString("latin1")).join("/")}`);
}
