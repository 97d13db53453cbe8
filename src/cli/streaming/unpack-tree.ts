// SPDX-License-Identifier: Apache-2.0
import { closeSync, fchmodSync, ftruncateSync, writeSync } from "node:fs";
import type { Readable } from "node:stream";
import { errnoOf, fault } from "../../base/errors.ts";
import { isUnknownHere, setAttributeOn } from "../../base/os/attributes.ts";
import { type FileTime, setTimesOf } from "../../base/os/inode.ts";
import { type TarEntry, TarReader, type TarSink } from "../../images/tar/tar-reader.ts";
import { type Below, TargetTree } from "./target-tree.ts";

/** tar fills its archive up to whole records of 10 KiB; more than this after its end is no archive. */
const maxTrailingBytes = 1024 * 1024;
const maxEntries = 10_000_000;
const maxFolderTimes = 100_000;

/**
 * Unpacks an archive from a container, in which everything is below `name`, so that `name` becomes `destination`. The
 * archive is not trusted: FAILED_PRECONDITION for a name that leads elsewhere, through `..` or a link,
 * INVALID_ARGUMENT for an archive that is cut off or never ends. Files, folders, hard links, and links that stay in
 * the tree are made; all else is reported to `onSkip`, and so are the capabilities of files. NOT_FOUND for an archive
 * with nothing in it.
 */
export async function unpackTree(
  archive: Readable,
  name: string,
  destination: string,
  onSkip: (what: string) => void,
): Promise<void> {
  using tree = new TargetTree(destination);
  using target = new Unpacked(tree, Buffer.from(name).toString("latin1"), onSkip);
  const reader = new TarReader(target);
  let trailing = 0;
  for await (const piece of archive as AsyncIterable<Buffer>) {
    if (reader.isAtEnd) trailing += piece.length;
    else reader.push(piece);
    if (trailing > maxTrailingBytes) {
      throw fault("INVALID_ARGUMENT", "the archive from the container goes on after its end");
    }
  }
  reader.finish();
  target.finish();
  if (target.made === 0) throw fault("NOT_FOUND", `nothing of "${name}" came out of the container`);
}

class Unpacked implements TarSink, Disposable {
  made = 0;
  readonly #tree: TargetTree;
  readonly #name: string;
  readonly #onSkip: (what: string) => void;
  /** Set at the end, since every file put into a folder changes it. */
  readonly #folderTimes = new Map<string, { readonly below: Below; readonly time: FileTime }>();
  #entries = 0;
  #file: { readonly fd: number; readonly entry: TarEntry } | undefined;

  constructor(tree: TargetTree, name: string, onSkip: (what: string) => void) {
    this.#tree = tree;
    this.#name = name;
    this.#onSkip = onSkip;
  }

  entry(entry: TarEntry): void {
    this.#entries += 1;
    if (this.#entries > maxEntries) {
      throw fault("INVALID_ARGUMENT", `the container sent more than ${maxEntries} files`);
    }
    const below = this.#below(entry.name);
    switch (entry.type) {
      case "directory":
        this.#tree.folder(below, (entry.mode & 0o777) | 0o700);
        if (this.#folderTimes.size < maxFolderTimes) {
          this.#folderTimes.set(below.join("/"), { below, time: entry.mtime });
        }
        break;
      case "file":
        this.#file = { fd: this.#tree.file(below), entry };
        break;
      case "hardlink":
        if (!this.#tree.hardLink(below, this.#below(entry.linkName))) return this.#skip(entry);
        break;
      case "symlink":
        if (!staysInside(below, entry.linkName)) return this.#skip(entry);
        this.#tree.link(below, Buffer.from(entry.linkName, "latin1"));
        break;
      default:
        return this.#skip(entry);
    }
    this.made += 1;
  }

  data(chunk: Buffer, position: number): void {
    if (this.#file === undefined) return;
    for (let done = 0; done < chunk.length; ) {
      done += writeSync(this.#file.fd, chunk, done, chunk.length - done, position + done);
    }
  }

  end(): void {
    if (this.#file === undefined) return;
    const { fd, entry } = this.#file;
    if (entry.size !== entry.storedBytes) ftruncateSync(fd, entry.size);
    for (const [name, value] of entry.xattrs) this.#attribute(fd, name, value, entry);
    // Neither set-id bits nor capabilities: on this machine they would hold for everybody.
    fchmodSync(fd, entry.mode & 0o777);
    setTimesOf(fd, entry.mtime, entry.mtime);
    this.#file = undefined;
    closeSync(fd);
  }

  /** Call once the archive is complete. */
  finish(): void {
    for (const { below, time } of this.#folderTimes.values()) this.#tree.setTime(below, time);
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
  }

  #attribute(fd: number, name: string, value: Buffer, entry: TarEntry): void {
    if (name === "security.capability") this.#onSkip(`${shown(entry.name)}: its capabilities`);
    if (!name.startsWith("user.")) return;
    try {
      setAttributeOn(fd, name, value);
    } catch (error) {
      if (!isUnknownHere(errnoOf(error))) throw error;
    }
  }

  #skip(entry: TarEntry): void {
    const what = entry.type === "symlink" ? "a link that leads out" : `a ${entry.type}`;
    this.#onSkip(`${shown(entry.name)}: ${what}`);
  }

  /** The names of the entry below `name`. */
  #below(entryName: string): Below {
    const [first, ...rest] = entryName
      .replace(/^\.?\/+/, "")
      .split("/")
      .filter((part) => part !== "" && part !== ".");
    if (first === this.#name && !rest.includes("..") && !entryName.includes("\0")) return rest;
    // Quoted as JSON: a terminal would act on control characters in a name.
    const [sent, wanted] = [entryName, this.#name].map((name) => JSON.stringify(shown(name)));
    throw fault("FAILED_PRECONDITION", `the container sent ${sent}, which is not in ${wanted}`);
  }
}

/**
 * Whether a link leads into the tree whatever lies on its way: it goes up first, not above the target, and then only
 * down, where it may meet other links of this kind.
 */
function staysInside(below: Below, target: string): boolean {
  if (target === "" || target.startsWith("/")) return false;
  const parts = target.split("/").filter((part) => part !== "" && part !== ".");
  const ups = parts.findIndex((part) => part !== "..");
  const down = ups < 0 ? [] : parts.slice(ups);
  const up = ups < 0 ? parts.length : ups;
  return up <= below.length - 1 && !down.includes("..");
}

function shown(name: string): string {
  return Buffer.from(name, "latin1").toString();
}
