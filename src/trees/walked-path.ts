// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../base/errors.ts";
import { openAt, openFolderUnseen } from "../base/os/at.ts";
import { DirectoryReader } from "../base/os/directory-reader.ts";
import { type FileFacts, factsOf } from "../base/os/file-facts.ts";
import { handleOf, openByHandle } from "../base/os/file-handle.ts";
import type { Descriptors } from "./descriptors.ts";

/** Folders that stay open: the outermost, so that there is always a way back to them, and the innermost. */
const outermost = 16;
const innermost = 32;

export interface OpenFolder {
  readonly fd: number;
  readonly reader: DirectoryReader;
}

/** A folder that is being read. */
interface Level {
  readonly facts: Pick<FileFacts, "inodeLow" | "inodeHigh" | "device">;
  /** undefined while it is closed; the others are then where it is found and where reading goes on. */
  open: OpenFolder | undefined;
  handle: Buffer | undefined;
  position: bigint;
}

/**
 * The folders of a path that somebody walks, each in the one before, however many: few are open. A closed one is
 * opened again by its file handle, wherever it was moved to meanwhile. On a file system without handles it is opened
 * as ".." of its child. Where that leads elsewhere, because one of the two was moved, the rest of the folder is lost,
 * and the walk goes on in the innermost folder above it that can still be reached.
 */
export class WalkedPath implements Disposable {
  readonly #descriptors: Descriptors;
  readonly #levels: Level[] = [];
  /** Of the levels after the outermost: all from here on are open. */
  #firstOpen = outermost;

  constructor(descriptors: Descriptors) {
    this.#descriptors = descriptors;
  }

  get depth(): number {
    return this.#levels.length;
  }

  /** The innermost folder, which is always open; undefined after the last. */
  get current(): OpenFolder | undefined {
    return this.#levels.at(-1)?.open;
  }

  /** Takes a descriptor that was just opened. */
  push(opened: number, { inodeLow, inodeHigh, device }: FileFacts): void {
    const fd = this.#descriptors.keep(opened);
    const open = { fd, reader: new DirectoryReader(fd) };
    const facts = { inodeLow, inodeHigh, device };
    this.#levels.push({ facts, open, handle: undefined, position: 0n });
    const first = this.#levels[this.#firstOpen];
    if (first?.open === undefined || this.#levels.length - this.#firstOpen <= innermost) return;
    first.handle ??= handleOf(first.open.fd);
    this.#close(first);
    this.#firstOpen += 1;
  }

  /**
   * Leaves the innermost folder. False when folders above it could not be reached again and were left too, before
   * their end.
   */
  pop(): boolean {
    const child = this.#levels.pop();
    if (child === undefined) return true;
    try {
      return this.#reopenLast(child);
    } finally {
      this.#close(child);
    }
  }

  [Symbol.dispose](): void {
    for (const level of this.#levels) this.#close(level);
    this.#levels.length = 0;
  }

  #reopenLast(child: Level): boolean {
    let isWhole = true;
    for (;;) {
      const last = this.#levels.at(-1);
      if (this.#levels.length <= outermost) this.#firstOpen = outermost;
      if (last === undefined || last.open !== undefined) return isWhole;
      const found = this.#find(last, child);
      if (typeof found === "number") {
        const reader = new DirectoryReader(found);
        last.open = { fd: found, reader };
        this.#firstOpen = this.#levels.length - 1;
        reader.seek(last.position);
        return isWhole;
      }
      if (found === "lost") isWhole = false;
      this.#levels.pop();
    }
  }

  #find(level: Level, child: Level): number | "gone" | "lost" {
    const { handle } = level;
    const mount = this.#levels[0]?.open?.fd ?? -1;
    const ways = [
      ...(handle === undefined ? [] : [() => openByHandle(mount, handle, openFolderUnseen)]),
      () => openAt(child.open?.fd ?? -1, Buffer.from(".."), openFolderUnseen),
    ];
    for (const way of ways) {
      try {
        const fd = this.#descriptors.keep(way());
        if (isSame(factsOf(fd), level.facts)) return fd;
        this.#descriptors.close(fd);
      } catch (error) {
        const code = errnoOf(error) ?? "";
        if (code === "ESTALE") return "gone"; // removed, and so is all that was in it
        if (scarce.has(code) || code === "") throw error;
      }
    }
    return "lost";
  }

  #close(level: Level): void {
    if (level.open === undefined) return;
    level.position = level.open.reader.position;
    this.#descriptors.close(level.open.fd);
    level.open = undefined;
  }
}

function isSame(one: Level["facts"], other: Level["facts"]): boolean {
  const { inodeLow, inodeHigh, device } = other;
  return one.inodeLow === inodeLow && one.inodeHigh === inodeHigh && one.device === device;
}

const scarce = new Set(["EMFILE", "ENFILE", "ENOMEM"]);
