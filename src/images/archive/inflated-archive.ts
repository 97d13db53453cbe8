// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { type Compression, decompress } from "../unpack/decompress.ts";
import type { Archive, ArchivedFile, Visit } from "./archive.ts";
import { DocumentsKept } from "./documents-kept.ts";
import { fileBytes } from "./file-bytes.ts";
import { type FilePlace, TarMembers } from "./tar-members.ts";

const pieceBytes = 256 * 1024;
/** Of what comes after the archive's own end, in which a file that is cut off may show: others fill it up to a record. */
const maxTailBytes = 1024 * 1024;
/** What all looks into one archive may inflate together; a few KiB can be made to give that much. */
const maxInflatedBytes = 2 ** 40;

/**
 * The files of a compressed tar archive. A first look through all of it finds the members, and keeps what looks like a
 * document, since tools write those last that say what the others are. What else is wanted is inflated again, as it is
 * taken: nothing of it lies on a disk that nobody asked for.
 */
export class InflatedArchive implements Archive {
  readonly isInflated = true;
  readonly #file: FileHandle;
  readonly #compression: Compression;
  readonly #sizeBytes: number;
  readonly #documents = new DocumentsKept();
  readonly #members = new TarMembers(this.#documents);
  #inflatedBytes = 0;

  private constructor(file: FileHandle, compression: Compression, sizeBytes: number) {
    this.#file = file;
    this.#compression = compression;
    this.#sizeBytes = sizeBytes;
  }

  /** The file is closed with the archive. */
  static async open(
    file: FileHandle,
    compression: Compression,
    call: Cancellable,
  ): Promise<InflatedArchive> {
    // What it has now: a file that grows as fast as it is read has no end.
    const archive = new InflatedArchive(file, compression, (await file.stat()).size);
    await archive.#index(call);
    return archive;
  }

  async open(name: string, call: Cancellable): Promise<ArchivedFile | undefined> {
    const place = this.#members.find(name);
    if (!place) return undefined;
    const kept = this.#documents.get(place);
    if (kept) return fileOf(kept.length, [kept]);
    return fileOf(place.size, this.#part(place, call));
  }

  async visit(names: readonly string[], take: Visit, call: Cancellable): Promise<void> {
    const wanted = new Map<number, { readonly place: FilePlace; readonly names: Set<string> }>();
    for (const name of names) {
      const place = this.#members.find(name);
      if (!place) continue;
      const known = wanted.get(place.dataOffset);
      if (known) known.names.add(name);
      else wanted.set(place.dataOffset, { place, names: new Set([name]) });
    }
    if (wanted.size === 0) return;
    await using course = this.#course(call);
    const inOrder = [...wanted.values()].sort((a, b) => a.place.dataOffset - b.place.dataOffset);
    for (const { place, names: its } of inOrder) {
      const bytes = course.read(place);
      try {
        await take([...its], fileOf(place.size, bytes));
      } finally {
        // Where it was left half way, what it was about to read comes before the next file's bytes.
        await bytes.return();
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }

  async #index(call: Cancellable): Promise<void> {
    let tailBytes = 0;
    for await (const chunk of this.#inflate(call)) {
      if (this.#members.push(chunk)) continue;
      tailBytes += chunk.length;
      if (tailBytes > maxTailBytes) break;
    }
    this.#members.finish();
  }

  async *#part(place: FilePlace, call: Cancellable): AsyncGenerator<Buffer, void, undefined> {
    await using course = this.#course(call);
    yield* course.read(place);
  }

  #course(call: Cancellable): Course {
    return new Course(this.#inflate(call));
  }

  async *#inflate({ signal }: Cancellable): AsyncGenerator<Buffer, void, undefined> {
    const whole = { start: 0, sizeBytes: this.#sizeBytes, pieceBytes };
    const source = Readable.from(fileBytes(this.#file, whole), { objectMode: false, signal });
    for await (const chunk of decompress(source, this.#compression)) {
      signal.throwIfAborted();
      this.#inflatedBytes += chunk.length;
      if (this.#inflatedBytes > maxInflatedBytes) {
        throw fault(
          "RESOURCE_EXHAUSTED",
          `archive inflates to more than ${maxInflatedBytes} bytes`,
        );
      }
      yield chunk;
    }
  }
}

/** One way through the inflated bytes, from the start on. */
class Course implements AsyncDisposable {
  readonly #chunks: AsyncGenerator<Buffer, void, undefined>;
  #chunk: Buffer = Buffer.alloc(0);
  /** Where the chunk ends. */
  #end = 0;

  constructor(chunks: AsyncGenerator<Buffer, void, undefined>) {
    this.#chunks = chunks;
  }

  /** The bytes of a file that lies behind all that were read. */
  async *read({ dataOffset, size }: FilePlace): AsyncGenerator<Buffer, void, undefined> {
    for (let at = dataOffset, end = dataOffset + size; at < end; ) {
      while (this.#end <= at) if (!(await this.#next())) return; // it was cut meanwhile
      const from = at - (this.#end - this.#chunk.length);
      if (from < 0) throw fault("INTERNAL", `archive was read past byte ${at} already`);
      const piece = this.#chunk.subarray(from, from + end - at);
      at += piece.length;
      yield piece;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return();
  }

  async #next(): Promise<boolean> {
    const { done, value } = await this.#chunks.next();
    if (done) return false;
    this.#chunk = value;
    this.#end += value.length;
    return true;
  }
}

function fileOf(sizeBytes: number, bytes: Iterable<Buffer> | AsyncIterable<Buffer>): ArchivedFile {
  return { sizeBytes, stream: () => Readable.from(bytes, { objectMode: false }) };
}
