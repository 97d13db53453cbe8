// SPDX-License-Identifier: Apache-2.0
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { type TarEntry, TarReader } from "../tar/tar-reader.ts";
import type { Archive, ArchivedFile } from "./archive.ts";

/** An archive of images has some files for each layer. */
const maxMembers = 50_000;
const maxNameBytes = 4096;
/** Of all names and links together, which stay in memory while it is read: 160 for each of as many files as there may be. */
const maxNamesBytes = 8_000_000;
const maxLinks = 8;
const pieceBytes = 64 * 1024;

/** What is remembered of a member. */
type Member = Pick<TarEntry, "type" | "name" | "linkName" | "size" | "dataOffset">;

/** The files of a plain tar archive. */
export class TarArchive implements Archive {
  readonly #file: FileHandle;
  readonly #members: ReadonlyMap<string, Member>;
  readonly #owned: AsyncDisposable;

  constructor(file: FileHandle, members: ReadonlyMap<string, Member>, owned: AsyncDisposable) {
    this.#file = file;
    this.#members = members;
    this.#owned = owned;
  }

  async open(name: string): Promise<ArchivedFile | undefined> {
    const member = this.#resolve(name);
    if (member?.type !== "file") return undefined;
    const { dataOffset, size: sizeBytes } = member;
    const stream = (): Readable =>
      Readable.from(bytesOf(this.#file, dataOffset, sizeBytes), { objectMode: false });
    return { sizeBytes, stream };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#owned[Symbol.asyncDispose]());
  }

  /** Older archives store a layer that occurs twice as a link. */
  #resolve(name: string): Member | undefined {
    let at = placeOf(name);
    for (let links = 0; links < maxLinks; links += 1) {
      const member = this.#members.get(at);
      if (member?.type === "symlink") {
        const target = utf8(member.linkName);
        at = placeOf(target.startsWith("/") ? target : `${path.posix.dirname(at)}/${target}`);
      } else if (member?.type === "hardlink") at = placeOf(utf8(member.linkName));
      else return member;
    }
    return undefined;
  }
}

/** A stream of the handle's own would stay with it, and be told of its end, until the whole archive is closed. */
async function* bytesOf(
  file: FileHandle,
  start: number,
  sizeBytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  for (let done = 0; done < sizeBytes; ) {
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, sizeBytes - done));
    const { bytesRead } = await file.read(piece, 0, piece.length, start + done);
    if (bytesRead === 0) return; // it was cut meanwhile
    yield piece.subarray(0, bytesRead);
    done += bytesRead;
  }
}

/** Finds the members of a plain archive. RESOURCE_EXHAUSTED for more of them than images have. */
export async function indexTar(
  file: FileHandle,
  { signal }: Cancellable,
): Promise<ReadonlyMap<string, Member>> {
  const members = new Map<string, Member>();
  let count = 0;
  let namesBytes = 0;
  const reader = new TarReader({
    entry: ({ type, name, linkName, size, dataOffset, storedBytes }) => {
      count += 1;
      if (count > maxMembers) {
        throw fault("RESOURCE_EXHAUSTED", `archive has more than ${maxMembers} files`);
      }
      if (name.length > maxNameBytes || linkName.length > maxNameBytes) {
        throw fault("INVALID_ARGUMENT", "archive has a name that is too long");
      }
      namesBytes += name.length + linkName.length;
      if (namesBytes > maxNamesBytes) {
        throw fault("RESOURCE_EXHAUSTED", `archive has names of more than ${maxNamesBytes} bytes`);
      }
      if (size !== storedBytes) {
        throw fault("INVALID_ARGUMENT", `archive holds a sparse file: "${utf8(name)}"`);
      }
      members.set(placeOf(utf8(name)), { type, name, linkName, size, dataOffset });
    },
    data: () => {},
    end: () => {},
    unknown: () => {},
  });
  const options = { start: 0, highWaterMark: 1024 * 1024, autoClose: false, signal };
  for await (const chunk of file.createReadStream(options)) reader.push(chunk as Buffer);
  reader.finish();
  if (reader.isEmpty) throw fault("INVALID_ARGUMENT", "it is empty");
  return members;
}

/** A name below the archive's root, where absolute ones begin, too. */
function placeOf(name: string): string {
  return path.posix.join("/", name).slice(1);
}

function utf8(name: string): string {
  return Buffer.from(name, "latin1").toString("utf8");
}
