// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, createReadStream, fstatSync, openSync } from "node:fs";
import path from "node:path";
import { Readable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { openResolved, Resolve } from "../../base/os/at.ts";
import type { Archive, ArchivedFile, Visit } from "./archive.ts";
import { eachOf } from "./each-of.ts";

const readWithoutWaiting = constants.O_RDONLY | constants.O_NONBLOCK;
const inside = Resolve.beneath | Resolve.noMagicLinks;

/** The regular files of a folder. No link leads out of it: what it holds becomes part of an image. */
export class FolderArchive implements Archive {
  readonly isInflated = false;
  readonly #root: number;

  private constructor(root: number) {
    this.#root = root;
  }

  static open(folder: string): FolderArchive {
    return new FolderArchive(openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY));
  }

  async open(name: string): Promise<ArchivedFile | undefined> {
    const file = this.#open(name);
    if (file === undefined) return undefined;
    closeSync(file.fd);
    return { sizeBytes: file.size, stream: () => this.#stream(name, file.size) };
  }

  visit(names: readonly string[], take: Visit, call: Cancellable): Promise<void> {
    return eachOf(this, names, take, call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeSync(this.#root);
  }

  /** As many bytes as it had when it was opened, whatever happens to it meanwhile. */
  #stream(name: string, size: number): Readable {
    if (size === 0) return Readable.from([]);
    const file = this.#open(name);
    if (file === undefined) throw fault("ABORTED", `"${name}" went while the archive was read`);
    return createReadStream("", { fd: file.fd, start: 0, end: size - 1 });
  }

  #open(name: string): { readonly fd: number; readonly size: number } | undefined {
    using undo = new DisposableStack();
    let fd: number;
    try {
      const below = path.posix.join("/", name).slice(1);
      fd = openResolved(this.#root, Buffer.from(below), readWithoutWaiting, inside);
    } catch {
      return undefined;
    }
    undo.defer(() => closeSync(fd));
    const found = fstatSync(fd);
    if (!found.isFile()) return undefined;
    undo.move();
    return { fd, size: found.size };
  }
}
