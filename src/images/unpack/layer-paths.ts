// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { openAt, openFolder } from "../../base/os/at.ts";
import { attributeOf } from "../../base/os/attributes.ts";
import { type FileFacts, FileType, factsIfAny } from "../../base/os/file-facts.ts";

// Paths in the folder of one layer, walked name by name. No link is followed.

export interface LayerPath {
  readonly folder: readonly Buffer[];
  readonly name: Buffer;
}

export interface Opened extends Disposable {
  readonly fd: number;
}

/** Something by its name in an open folder. */
export interface Found extends Opened {
  readonly name: Buffer;
  readonly facts: FileFacts;
}

/** What a layer has of a path where it has no such thing: nothing, or what hides the layers below. */
export type Absent = "nothing" | "hidden";

/** A folder that one walks down from, by one open descriptor at a time. */
export class Way implements Disposable {
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

export function folderIn(
  root: number,
  { folder }: LayerPath,
): (Opened & { isOpaque: boolean }) | Absent {
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

/** What may have a further name. */
export function fileIn(root: number, path: LayerPath): Found | Absent {
  return anyIn(root, path, isFile);
}

/** What a path may lead through. */
export function passageIn(root: number, path: LayerPath): Found | Absent {
  return anyIn(root, path, (facts) =>
    [FileType.folder, FileType.link].some((type) => type === typeOf(facts)),
  );
}

function anyIn(
  root: number,
  path: LayerPath,
  isWanted: (facts: FileFacts) => boolean,
): Found | Absent {
  const folder = folderIn(root, path);
  if (typeof folder === "string") return folder;
  using undo = new DisposableStack();
  undo.use(folder);
  const { name } = path;
  const facts = factsIfAny(folder.fd, name);
  if (facts === undefined) return folder.isOpaque ? "hidden" : "nothing";
  if (!isWanted(facts)) return "hidden";
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

export function typeOf({ mode }: FileFacts): number {
  return mode & FileType.mask;
}

export function opened(fd: number): Opened {
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

/** Paths are bytes, one character each. */
export function partsOf(text: string): Buffer[] {
  const parts = text.split("/").filter((part) => part !== "");
  return parts.map((part) => Buffer.from(part, "latin1"));
}

export function pathOf(text: string): LayerPath {
  const folder = partsOf(text);
  return { name: folder.pop() ?? Buffer.alloc(0), folder };
}
