// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../base/errors.ts";
import { atCurrent, openAt, openFolder, openResolved, Resolve } from "../base/os/at.ts";
import { DirectoryReader } from "../base/os/directory-reader.ts";
import {
  FileAttribute,
  type FileFacts,
  FileType,
  factsIfAny,
  factsOf,
} from "../base/os/file-facts.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Job } from "./jobs.ts";
import { SeenInodes } from "./seen-inodes.ts";

export interface MeasureRequest {
  /** Absolute path, ours. */
  readonly folder: string;
}

export interface TreeUsage {
  /** Allocated, in units of 512 bytes. */
  readonly blocks: number;
  readonly inodes: number;
  /** False when a part could not be walked to its end: the tree holds at least this. */
  readonly isWhole: boolean;
}

/** Descriptors that a job has open at once, whatever the depth. */
const mostOpen = 48;
/** Folders in one another that are walked. What is deeper is not counted; to get there took as many inodes. */
const deepest = 2 ** 17;
/** Entries between two yields. */
const pieceEntries = 64;

/**
 * What a folder takes on disk: allocated blocks and inodes, the folder's own included. A file with several
 * hard links counts once; when a tree has more of those than SeenInodes holds, each further link counts as
 * its share of the file, which is the same when all links are in the tree. Nothing mounted below is counted.
 * What comes or goes during the walk may be counted or not. Nothing in the tree is changed.
 *
 * Of a deep path only the last folders stay open. A closed one is opened again as its child's "..", which
 * may be another folder by then: the walk goes on in it only when it is the one that was left.
 */
export function* measureTree({ folder }: MeasureRequest, descriptors: Descriptors): Job<TreeUsage> {
  using walk = new Walk(descriptors);
  walk.begin(folder);
  for (let entries = 1; walk.step(); entries += 1) {
    if (entries % pieceEntries === 0) yield;
  }
  return walk.usage;
}

/** A folder that is being read. */
interface Level {
  readonly facts: Pick<FileFacts, "inodeLow" | "inodeHigh" | "device">;
  /** undefined while it is closed; `position` is then where reading goes on. */
  open: { readonly fd: number; readonly reader: DirectoryReader } | undefined;
  position: bigint;
}

class Walk implements Disposable {
  readonly #descriptors: Descriptors;
  readonly #levels: Level[] = [];
  readonly #seen = new SeenInodes();
  /** Of the levels: all from here on are open. */
  #firstOpen = 0;
  #blocks = 0;
  #inodes = 0;
  #isWhole = true;

  constructor(descriptors: Descriptors) {
    this.#descriptors = descriptors;
  }

  get usage(): TreeUsage {
    const inodes = Math.round(this.#inodes);
    return { blocks: Math.round(this.#blocks), inodes, isWhole: this.#isWhole };
  }

  begin(folder: string): void {
    const fd = this.#descriptors.keep(openAt(atCurrent, Buffer.from(folder), openFolder));
    const facts = factsOf(fd);
    this.#count(facts);
    this.#push(fd, facts);
  }

  /** One entry, or the end of a folder. Answers whether there is more. */
  step(): boolean {
    const level = this.#levels.at(-1);
    if (level?.open === undefined) return false;
    const { fd, reader } = level.open;
    const entry = this.#passing(() => reader.next());
    if (entry === undefined) {
      this.#pop();
      return true;
    }
    const { name } = entry;
    const facts = this.#passing(() => factsIfAny(fd, name));
    if (facts === undefined || (facts.attributes & FileAttribute.mountRoot) !== 0) return true;
    this.#count(facts);
    if ((facts.mode & FileType.mask) === FileType.folder) this.#descend(fd, name, facts);
    return true;
  }

  [Symbol.dispose](): void {
    for (const level of this.#levels) this.#close(level);
    this.#levels.length = 0;
  }

  #count(facts: FileFacts): void {
    const { blocks, links, mode } = facts;
    const isLinked = links > 1 && (mode & FileType.mask) !== FileType.folder;
    const isFirst = isLinked ? this.#seen.add(facts) : true;
    if (isFirst === false) return;
    const share = isFirst === true ? 1 : 1 / links;
    this.#blocks += blocks * share;
    this.#inodes += share;
  }

  #descend(folder: number, name: Buffer, facts: FileFacts): void {
    if (this.#levels.length >= deepest) {
      this.#isWhole = false;
      return;
    }
    const how = Resolve.noMounts | Resolve.noLinks;
    const fd = this.#passing(() => openResolved(folder, name, openFolder, how));
    if (fd !== undefined) this.#push(this.#descriptors.keep(fd), facts);
  }

  #push(fd: number, facts: FileFacts): void {
    const { inodeLow, inodeHigh, device } = facts;
    const open = { fd, reader: new DirectoryReader(fd) };
    this.#levels.push({ facts: { inodeLow, inodeHigh, device }, open, position: 0n });
    const first = this.#levels[this.#firstOpen];
    if (first === undefined || this.#levels.length - this.#firstOpen <= mostOpen) return;
    this.#close(first);
    this.#firstOpen += 1;
  }

  #pop(): void {
    const level = this.#levels.pop();
    const parent = this.#levels.at(-1);
    if (level === undefined) return;
    if (parent !== undefined && parent.open === undefined && !this.#reopen(parent, level)) {
      this.#isWhole = false;
      this.#levels.length = 0; // all of them are closed
      this.#firstOpen = 0;
    }
    this.#close(level);
  }

  #reopen(parent: Level, { open: child }: Level): boolean {
    if (child === undefined) return false;
    const up = this.#passing(() => openAt(child.fd, Buffer.from(".."), openFolder));
    if (up === undefined) return false;
    const fd = this.#descriptors.keep(up);
    const { inodeLow, inodeHigh, device } = factsOf(fd);
    const { facts } = parent;
    if (inodeLow !== facts.inodeLow || inodeHigh !== facts.inodeHigh || device !== facts.device) {
      this.#descriptors.close(fd);
      return false;
    }
    const reader = new DirectoryReader(fd);
    reader.seek(parent.position);
    parent.open = { fd, reader };
    this.#firstOpen = this.#levels.length - 1;
    return true;
  }

  #close(level: Level): void {
    if (level.open === undefined) return;
    level.position = level.open.reader.position;
    this.#descriptors.close(level.open.fd);
    level.open = undefined;
  }

  /** Passes over what has gone, was replaced or is a mount; what cannot be read makes the figure a part. */
  #passing<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      const code = errnoOf(error) ?? "";
      if (scarce.has(code) || code === "") throw error;
      if (!changed.has(code)) this.#isWhole = false;
      return undefined;
    }
  }
}

const changed = new Set(["ENOENT", "ENOTDIR", "ELOOP", "EXDEV", "EAGAIN"]);
const scarce = new Set(["EMFILE", "ENFILE", "ENOMEM"]);
