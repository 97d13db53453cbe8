// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import type { Archive, ArchivedFile, Visit } from "./archive.ts";
import { eachOf } from "./each-of.ts";
import { fileBytes } from "./file-bytes.ts";
import { TarMembers } from "./tar-members.ts";

const pieceBytes = 64 * 1024;
const indexPieceBytes = 1024 * 1024;

/** The files of a plain tar archive. */
export class TarArchive implements Archive {
  readonly isInflated = false;
  readonly #file: FileHandle;
  readonly #members: TarMembers;

  private constructor(file: FileHandle, members: TarMembers) {
    this.#file = file;
    this.#members = members;
  }

  /** The file is closed with the archive. */
  static async open(file: FileHandle, { signal }: Cancellable): Promise<TarArchive> {
    const members = new TarMembers();
    // What it has now: a file that grows as fast as it is read has no end.
    const { size: sizeBytes } = await file.stat();
    for await (const chunk of fileBytes(file, {
      start: 0,
      sizeBytes,
      pieceBytes: indexPieceBytes,
    })) {
      signal.throwIfAborted();
      if (!members.push(chunk)) break;
    }
    members.finish();
    return new TarArchive(file, members);
  }

  async open(name: string): Promise<ArchivedFile | undefined> {
    const member = this.#members.find(name);
    if (!member) return undefined;
    const { dataOffset: start, size: sizeBytes } = member;
    const bytes = { start, sizeBytes, pieceBytes };
    const stream = (): Readable =>
      Readable.from(fileBytes(this.#file, bytes), { objectMode: false });
    return { sizeBytes, stream };
  }

  visit(names: readonly string[], take: Visit, call: Cancellable): Promise<void> {
    return eachOf(this, names, take, call);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}
