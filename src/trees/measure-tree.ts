// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../base/errors.ts";
import { atCurrent, openAt, openFolderUnseen, openResolved, Resolve } from "../base/os/at.ts";
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
import { WalkedPath } from "./walked-path.ts";

export interface MeasureRequest {
  /** Absolute path, ours. */
  readonly folder: string;
  /** How long the walk may take, the turns of other jobs included; then what was found so far is the answer. */
  readonly longestMs?: number;
}

export interface TreeUsage {
  /** Allocated, in units of 512 bytes. */
  readonly blocks: number;
  readonly inodes: number;
  /** False when a part could not be walked to its end: the tree holds at least this. */
  readonly isWhole: boolean;
}

/** How deep folders in one another are walked. What is deeper is not counted; it took as many inodes to get there. */
const deepest = 2 ** 17;
const longestWalkMs = 600_000;
/** Entries between two yields. */
const pieceEntries = 64;

/**
 * What a folder takes on disk: allocated blocks and inodes, the folder's own included. A file with several hard links
 * counts once; when a tree has more of those than SeenInodes holds, each further link counts as its share of the
 * file, which is the same when all links are in the tree. Nothing mounted below is counted. What comes or goes during
 * the walk may be counted or not. Nothing in the tree is changed.
 *
 * Access times stay as they are: they would show a container which of its folders were read already, and it could
 * move into those what is not to be counted. A tree that changes all the time may have no end: after `longestMs` the
 * walk is given up.
 */
export function* measureTree(
  { folder, longestMs = longestWalkMs }: MeasureRequest,
  descriptors: Descriptors,
): Job<TreeUsage> {
  const until = performance.now() + longestMs;
  using walk = new Walk(descriptors);
  walk.begin(folder);
  for (let entries = 1; walk.step(); entries += 1) {
    if (entries % pieceEntries !== 0) continue;
    if (performance.now() >= until) return { ...walk.usage, isWhole: false };
    yield;
  }
  return walk.usage;
}

class Walk implements Disposable {
  readonly #path: WalkedPath;
  readonly #seen = new SeenInodes();
  #blocks = 0;
  #inodes = 0;
  #isWhole = true;

  constructor(descriptors: Descriptors) {
    this.#path = new WalkedPath(descriptors);
  }

  get usage(): TreeUsage {
    const inodes = Math.round(this.#inodes);
    return { blocks: Math.round(this.#blocks), inodes, isWhole: this.#isWhole };
  }

  begin(folder: string): void {
    const fd = openAt(atCurrent, Buffer.from(folder), openFolderUnseen);
    const facts = factsOf(fd);
    this.#count(facts);
    this.#path.push(fd, facts);
  }

  /** One entry, or the end of a folder. Answers whether there is more. */
  step(): boolean {
    const open = this.#path.current;
    if (open === undefined) return false;
    const { fd, reader } = open;
    const entry = this.#passing(() => reader.next());
    if (entry === undefined) {
      if (!this.#path.pop()) this.#isWhole = false;
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
    this.#path[Symbol.dispose]();
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
    if (this.#path.depth >= deepest) {
      this.#isWhole = false;
      return;
    }
    const how = Resolve.noMounts | Resolve.noLinks;
    const fd = this.#passing(() => openResolved(folder, name, openFolderUnseen, how));
    if (fd !== undefined) this.#path.push(fd, facts);
  }

  /**
   * Undefined for what has gone, was replaced or is a mount. What cannot be read is passed over too, and the answer
   * is a lower bound then.
   */
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
