// SPDX-License-Identifier: Apache-2.0
import { createReadStream, createWriteStream, type ReadStream } from "node:fs";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault } from "../../base/errors.ts";
import { type TarEntry, TarReader } from "../tar/tar-reader.ts";
import { compressionOf, decompress } from "../unpack/decompress.ts";

/** Named files of a folder or of a tar archive. */
export interface Archive extends AsyncDisposable {
  /** undefined when there is no such file. */
  open(name: string): Promise<{ readonly sizeBytes: number; stream(): ReadStream } | undefined>;
}

/** Opens an archive by its path; a compressed tar is unpacked into a temporary file first. */
export async function openArchive(file: string, call: Cancellable): Promise<Archive> {
  const found = await stat(file).catch((error: unknown) => {
    throw fault("NOT_FOUND", `cannot read "${file}": ${errnoOf(error)}`, { cause: error });
  });
  if (found.isDirectory()) return new FolderArchive(file);
  const plain = await plainTar(file, call);
  await using stack = new AsyncDisposableStack();
  if (plain !== file) stack.defer(() => rm(path.dirname(plain), { recursive: true, force: true }));
  const entries = await indexTar(plain, call);
  return new TarArchive(plain, entries, stack.move());
}

class FolderArchive implements Archive {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(name: string): ReturnType<Archive["open"]> {
    const file = path.join(this.#folder, path.join("/", name));
    const found = await stat(file).catch(() => undefined);
    if (!found?.isFile()) return undefined;
    return { sizeBytes: found.size, stream: () => createReadStream(file) };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

class TarArchive implements Archive {
  readonly #file: string;
  readonly #entries: ReadonlyMap<string, TarEntry>;
  readonly #owned: AsyncDisposable;

  constructor(file: string, entries: ReadonlyMap<string, TarEntry>, owned: AsyncDisposable) {
    this.#file = file;
    this.#entries = entries;
    this.#owned = owned;
  }

  async open(name: string): ReturnType<Archive["open"]> {
    const entry = this.#resolve(name);
    if (entry?.type !== "file") return undefined;
    const { dataOffset: start, size: sizeBytes } = entry;
    // `end` is inclusive, so an empty range needs a file without bytes.
    return {
      sizeBytes,
      stream: () =>
        sizeBytes === 0
          ? createReadStream("/dev/null")
          : createReadStream(this.#file, { start, end: start + sizeBytes - 1 }),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#owned[Symbol.asyncDispose]());
  }

  /** Older archives name a layer that occurs twice by a link. */
  #resolve(name: string): TarEntry | undefined {
    let at = path.posix.normalize(name);
    for (let links = 0; links < 8; links += 1) {
      const entry = this.#entries.get(at);
      if (entry?.type === "symlink") {
        at = path.posix.join(path.posix.dirname(at), entry.linkName);
      } else if (entry?.type === "hardlink") at = path.posix.normalize(entry.linkName);
      else return entry;
    }
    return undefined;
  }
}

async function indexTar(file: string, { signal }: Cancellable): Promise<Map<string, TarEntry>> {
  const entries = new Map<string, TarEntry>();
  const reader = new TarReader({
    entry: (entry) => {
      if (entry.size !== entry.storedBytes) {
        throw fault("INVALID_ARGUMENT", `archive holds a sparse file: "${entry.name}"`);
      }
      entries.set(path.posix.normalize(Buffer.from(entry.name, "latin1").toString("utf8")), entry);
    },
    data: () => {},
    end: () => {},
  });
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024, signal })) {
    reader.push(chunk as Buffer);
  }
  reader.finish();
  return entries;
}

async function plainTar(file: string, { signal }: Cancellable): Promise<string> {
  const start = Buffer.alloc(4);
  {
    await using handle = await open(file, "r");
    await handle.read(start, 0, start.length, 0);
  }
  const compression = compressionOf(start);
  if (compression === "none") return file;
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-load-"));
  const plain = path.join(folder, "archive.tar");
  try {
    await pipeline(decompress(createReadStream(file), compression), createWriteStream(plain), {
      signal,
    });
    return plain;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
