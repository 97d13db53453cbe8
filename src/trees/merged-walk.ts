// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { fault } from "../base/errors.ts";
import {
  atCurrent,
  makeFolderAt,
  openAt,
  openFolder,
  openResolved,
  Resolve,
} from "../base/os/at.ts";
import { attributeOf } from "../base/os/attributes.ts";
import { DirectoryReader } from "../base/os/directory-reader.ts";
import { type FileFacts, FileType, factsIfAny, factsOf } from "../base/os/file-facts.ts";
import type { Descriptors } from "./descriptors.ts";

export interface MergedWalkRequest {
  /** A folder's parts, topmost first. */
  readonly layers: readonly Buffer[];
  /** A folder that is there. */
  readonly target: Buffer;
  readonly descriptors: Descriptors;
}

export type MergedEntry =
  | {
      /** Something in the folder that is being read: `name` in the open folder `source`. */
      readonly kind: "entry";
      readonly name: Buffer;
      readonly source: number;
      readonly target: number;
      /** Index of the layer it is from. */
      readonly layer: number;
      readonly facts: FileFacts;
    }
  /** All of a folder has been seen: `source` and `target` are the folder itself. */
  | {
      readonly kind: "end";
      readonly name: Buffer;
      readonly source: number;
      readonly target: number;
      readonly facts: FileFacts;
    };

type Entry = Extract<MergedEntry, { kind: "entry" }>;

/** Beyond this, folders further up are closed, and opened again by their path when they go on. */
const mostOpen = 128;
/** As deep as a path of one-letter names can be, for those who open things by their path. */
const deepest = 4096;
const maxPath = 4095;

interface OpenLevel {
  /** The descriptors of the folder in each layer that has it, topmost first. */
  readonly parts: readonly number[];
  readonly target: number;
}

/** A folder of the merged tree that is being read, and the same of the target. */
interface Level {
  readonly name: Buffer;
  /** The layers that the parts belong to. */
  readonly layers: readonly number[];
  readonly facts: FileFacts;
  /** undefined while it is closed. */
  open: OpenLevel | undefined;
  /** Index of the part that is read. */
  part: number;
  reader: DirectoryReader | undefined;
  /** Where reading goes on after it was closed. */
  position: bigint;
}

/**
 * Walks the merged view of overlay layers by descriptors, depth first, with the same folder of a target open beside
 * it: an upper layer hides what is below, a whiteout (character device 0:0) removes it, an opaque folder hides the
 * lower ones. The layers must not change meanwhile. Memory grows with the depth alone.
 */
export class MergedWalk implements Disposable {
  readonly #descriptors: Descriptors;
  readonly #levels: Level[] = [];
  readonly #root: OpenLevel;
  /** Descriptors open below the root, and the index of the first level that has some. */
  #open = 0;
  #firstOpen = 1;
  #isAtEnd = false;

  constructor({ layers, target, descriptors }: MergedWalkRequest) {
    this.#descriptors = descriptors;
    this.#root = this.#openAll(
      layers.map((layer) => [atCurrent, layer]),
      [atCurrent, target],
    );
    const [top = -1] = this.#root.parts;
    this.#push(Buffer.alloc(0), [...layers.keys()], this.#root, factsOf(top));
  }

  /** The next entry, or the end of a folder; undefined after the root's. */
  next(): MergedEntry | undefined {
    if (this.#isAtEnd) this.#leave();
    this.#isAtEnd = false;
    const level = this.#levels.at(-1);
    if (level === undefined) return undefined;
    const { parts, target } = this.#resumed(level);
    for (; level.part < parts.length; level.part += 1) {
      const found = this.#nextOf(level, parts);
      if (found !== undefined) return { kind: "entry", target, ...found };
      level.reader = undefined;
      level.position = 0n;
    }
    this.#isAtEnd = true;
    return { kind: "end", name: level.name, source: parts[0] ?? -1, target, facts: level.facts };
  }

  /** Makes the folder in the target, mode 0700, and goes on in it. */
  enter({ name, target, facts }: MergedEntry): void {
    const level = this.#levels.at(-1);
    if (level?.open === undefined) return;
    if (this.#levels.length > deepest) {
      throw fault("INVALID_ARGUMENT", `folders lie more than ${deepest} deep`);
    }
    makeFolderAt(target, name, 0o700);
    const indices = partsBelow(level.open.parts, level.part, name);
    const { parts } = level.open;
    const open = this.#openAll(
      indices.map((index) => [parts[index] ?? -1, name]),
      [target, name],
    );
    const layers = indices.map((index) => level.layers[index] ?? 0);
    this.#push(Buffer.from(name), layers, open, facts);
    this.#open += open.parts.length + 1;
    while (this.#open > mostOpen && this.#firstOpen < this.#levels.length - 1) this.#closeFirst();
  }

  [Symbol.dispose](): void {
    for (const level of this.#levels) this.#close(level);
    this.#levels.length = 0;
  }

  #nextOf(
    level: Level,
    parts: readonly number[],
  ): Pick<Entry, "name" | "source" | "layer" | "facts"> | undefined {
    const source = parts[level.part] ?? -1;
    level.reader ??= readerAt(source, level.position);
    for (let found = level.reader.next(); found !== undefined; found = level.reader.next()) {
      const { name } = found;
      if (parts.slice(0, level.part).some((upper) => factsIfAny(upper, name) !== undefined)) {
        continue;
      }
      const facts = factsIfAny(source, name);
      if (facts === undefined || isWhiteout(facts)) continue;
      return { name, source, layer: level.layers[level.part] ?? 0, facts };
    }
    return undefined;
  }

  #push(name: Buffer, layers: readonly number[], open: OpenLevel, facts: FileFacts): void {
    this.#levels.push({ name, layers, facts, open, part: 0, reader: undefined, position: 0n });
  }

  #leave(): void {
    const level = this.#levels.pop();
    if (level === undefined) return;
    if (this.#levels.length > 0) this.#open -= level.layers.length + 1;
    this.#close(level);
  }

  #closeFirst(): void {
    const level = this.#levels[this.#firstOpen];
    this.#firstOpen += 1;
    if (level?.open === undefined) return;
    this.#open -= level.layers.length + 1;
    level.position = level.reader?.position ?? level.position;
    level.reader = undefined;
    this.#close(level);
  }

  #close(level: Level): void {
    const { open } = level;
    level.open = undefined;
    for (const fd of open === undefined ? [] : [...open.parts, open.target]) {
      this.#descriptors.close(fd);
    }
  }

  /** Opens a closed level again, by its path from the root: there is no link in it. */
  #resumed(level: Level): OpenLevel {
    if (level.open !== undefined) return level.open;
    const names = this.#levels.slice(1).map(({ name }) => name);
    const opened: number[] = [];
    const reopen = (root: number): void => {
      opened.push(this.#descriptors.keep(openBelow(root, names)));
    };
    try {
      for (const layer of level.layers) reopen(this.#root.parts[layer] ?? -1);
      reopen(this.#root.target);
    } catch (error) {
      for (const fd of opened) this.#descriptors.close(fd);
      throw error;
    }
    level.open = { parts: opened.slice(0, -1), target: opened.at(-1) ?? -1 };
    this.#open += opened.length;
    this.#firstOpen = this.#levels.length - 1;
    return level.open;
  }

  /** Opens all of them or none. */
  #openAll(
    parts: readonly (readonly [number, Buffer])[],
    target: readonly [number, Buffer],
  ): OpenLevel {
    const opened: number[] = [];
    try {
      for (const [folder, name] of [...parts, target]) {
        opened.push(this.#descriptors.keep(openAt(folder, name, openFolder)));
      }
    } catch (error) {
      for (const fd of opened) this.#descriptors.close(fd);
      throw error;
    }
    return { parts: opened.slice(0, -1), target: opened.at(-1) ?? -1 };
  }
}

function readerAt(folder: number, position: bigint): DirectoryReader {
  const reader = new DirectoryReader(folder);
  if (position !== 0n) reader.seek(position);
  return reader;
}

/** The parts of a folder that hold a part of its sub-folder `name`, from the one on where that was met first. */
function partsBelow(parts: readonly number[], from: number, name: Buffer): number[] {
  const found: number[] = [];
  for (let index = from; index < parts.length; index += 1) {
    const part = parts[index] ?? -1;
    const facts = factsIfAny(part, name);
    if (facts === undefined) continue;
    if ((facts.mode & FileType.mask) !== FileType.folder) break;
    found.push(index);
    if (isOpaque(part, name)) break;
  }
  return found;
}

function isOpaque(folder: number, name: Buffer): boolean {
  const fd = openAt(folder, name, openFolder);
  try {
    return attributeOf(fd, "trusted.overlay.opaque")?.toString() === "y";
  } finally {
    closeSync(fd);
  }
}

function isWhiteout({ mode, deviceMajor, deviceMinor }: FileFacts): boolean {
  const isDevice = (mode & FileType.mask) === FileType.characterDevice;
  return isDevice && deviceMajor === 0 && deviceMinor === 0;
}

/** Opens a folder by a path of any length below another. */
function openBelow(root: number, names: readonly Buffer[]): number {
  let at = root;
  for (let next = 0; next < names.length; ) {
    const piece: Buffer[] = [];
    for (let length = 0; next < names.length; next += 1) {
      const name = names[next] ?? Buffer.alloc(0);
      length += name.length + 1;
      if (length > maxPath) break;
      piece.push(name, slash);
    }
    const below = openResolved(
      at,
      Buffer.concat(piece.slice(0, -1)),
      openFolder,
      Resolve.beneath | Resolve.noLinks,
    );
    if (at !== root) closeSync(at);
    at = below;
  }
  return at;
}

const slash = Buffer.from("/");
