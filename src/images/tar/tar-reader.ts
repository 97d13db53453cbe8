// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import {
  noPaxRecords,
  type PaxRecords,
  parsePax,
  paxNumber,
  paxOwner,
  paxText,
  paxTime,
} from "./pax.ts";
import {
  checkCount,
  checkSegments,
  gnuSegments,
  MapInData,
  paxSparse,
  type Segment,
} from "./sparse.ts";
import { blockBytes, number, type RawHeader, readHeader, text } from "./tar-header.ts";

export type TarType =
  | "file"
  | "hardlink"
  | "symlink"
  | "character"
  | "block"
  | "directory"
  | "fifo";

/** One member of an archive. Names are bytes, one character each ("latin1"). */
export interface TarEntry {
  readonly type: TarType;
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  /** Some tools write negative ones. */
  readonly uid: number;
  readonly gid: number;
  /** Length of the file's content; 0 for everything but files. */
  readonly size: number;
  readonly mtime: { readonly seconds: number; readonly nanos: number };
  readonly major: number;
  readonly minor: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** Where the stored bytes start in the archive, and how many they are. */
  readonly dataOffset: number;
  readonly storedBytes: number;
}

/** Receives the members: `entry`, then for a file any number of `data`, then `end`. */
export interface TarSink {
  entry(entry: TarEntry): void;
  /** Bytes that belong at `position` of the file; what lies between calls is a hole. */
  data(chunk: Buffer, position: number): void;
  end(): void;
  /** A member of a type that is not known, which is passed over. An archive with one is refused where this is not there. */
  unknown?(flag: string, name: string): void;
}

/** Extended headers hold names and attributes; a longer one is an attack on memory. */
const maxMetaBytes = 1024 * 1024;
const types: Readonly<Record<string, TarType>> = {
  "0": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
  "7": "file",
  S: "file",
};

/** Exactly so many bytes in one piece, or any piece of up to so many. */
type Want = { readonly exact: number } | { readonly upTo: number };
type Step<T> = Generator<Want, T, Buffer>;

/**
 * Reads a tar archive that is pushed in pieces: v7, ustar, GNU (long names, sparse), star and PAX
 * (with sparse 0.0, 0.1 and 1.0). Everything is synchronous, so the sink sets the pace. Errors are
 * INVALID_ARGUMENT faults; what follows the end of the archive is ignored.
 */
export class TarReader {
  readonly #sink: TarSink;
  readonly #steps: Step<void>;
  #want: Want | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #consumed = 0;
  #atBoundary = true;
  #inPadding = false;
  /** Of the member whose content is being read. */
  #name: string | undefined;

  constructor(sink: TarSink) {
    this.#sink = sink;
    this.#steps = this.#run();
    this.#advance();
  }

  /** Whether the archive's trailer has come: what is pushed after it is ignored. */
  get isAtEnd(): boolean {
    return this.#want === undefined;
  }

  /** Whether nothing has come at all. */
  get isEmpty(): boolean {
    return this.#consumed === 0;
  }

  push(chunk: Buffer): void {
    if (this.#want === undefined) return;
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (this.#want !== undefined) {
      const available = bytes.length - at;
      const length =
        "exact" in this.#want ? this.#want.exact : Math.min(this.#want.upTo, available);
      if (length > available || available === 0) break;
      const piece = bytes.subarray(at, at + length);
      at += length;
      this.#consumed += length;
      this.#advance(piece);
    }
    this.#rest = this.#want === undefined ? Buffer.alloc(0) : bytes.subarray(at);
  }

  /** Call at the end of the input: an archive may lack its trailer and its last padding, but not content. */
  finish(): void {
    if (this.#want === undefined || this.#inPadding) return;
    if (this.#atBoundary && this.#rest.length === 0) return;
    const where = this.#name === undefined ? "" : `, in "${shown(this.#name)}"`;
    throw fault("INVALID_ARGUMENT", `tar archive is cut off${where}`);
  }

  #advance(piece?: Buffer): void {
    const step = piece === undefined ? this.#steps.next() : this.#steps.next(piece);
    this.#want = step.done === true ? undefined : step.value;
  }

  *#run(): Step<void> {
    let pax = noPaxRecords;
    let longName: string | undefined;
    let longLink: string | undefined;
    for (;;) {
      const header = readHeader(yield { exact: blockBytes });
      this.#atBoundary = false;
      if (header === undefined) return;
      if (header.flag === "x") pax = parsePax(yield* this.#meta(header));
      else if (header.flag === "g" || header.flag === "V") yield* this.#meta(header);
      else if (header.flag === "L") longName = longText(yield* this.#meta(header));
      else if (header.flag === "K") longLink = longText(yield* this.#meta(header));
      else {
        yield* this.#member(header, pax, longName, longLink);
        pax = noPaxRecords;
        longName = undefined;
        longLink = undefined;
        this.#atBoundary = true;
        this.#name = undefined;
      }
    }
  }

  /** The body of an extended header. */
  *#meta({ size, flag }: RawHeader): Step<Buffer> {
    if (size < 0 || size > maxMetaBytes) {
      throw fault("RESOURCE_EXHAUSTED", `tar header of type "${flag}" is too long: ${size} bytes`);
    }
    if (size === 0) return Buffer.alloc(0);
    const body = yield { exact: padded(size) };
    return body.subarray(0, size);
  }

  *#member(
    header: RawHeader,
    pax: PaxRecords,
    longName: string | undefined,
    longLink: string | undefined,
  ): Step<void> {
    // Of two the one that Go takes: an empty long name is none.
    const named = longName || (paxText(pax, "path") ?? header.name);
    const type = typeOf(header, named);
    this.#name = named;
    if (type === undefined) {
      if (!this.#sink.unknown) {
        throw fault("INVALID_ARGUMENT", `tar member of unknown type "${header.flag}"`);
      }
      this.#sink.unknown(header.flag, named);
      return yield* this.#skip(paxNumber(pax, "size") ?? header.size);
    }
    const stored = type === "file" ? (paxNumber(pax, "size") ?? header.size) : 0;
    if (stored < 0) throw fault("INVALID_ARGUMENT", "negative size in a tar header");
    const bodyEnd = padded(stored) - stored;
    const sparse = type === "file" ? yield* this.#sparse(header, pax, stored) : undefined;
    const left = stored - (sparse?.mapBytes ?? 0);
    if (sparse) checkSegments(sparse.segments, sparse.size, left);
    this.#sink.entry({
      type,
      name: paxText(pax, "GNU.sparse.name") ?? named,
      linkName: longLink || (paxText(pax, "linkpath") ?? header.linkName),
      mode: header.mode & 0o7777,
      uid: paxOwner(pax, "uid") ?? header.uid,
      gid: paxOwner(pax, "gid") ?? header.gid,
      size: sparse?.size ?? stored,
      mtime: paxTime(pax, "mtime") ?? { seconds: header.mtime, nanos: 0 },
      major: header.major,
      minor: header.minor,
      xattrs: xattrsOf(pax),
      dataOffset: this.#consumed,
      storedBytes: left,
    });
    for (const { offset, length } of sparse?.segments ?? [{ offset: 0, length: left }]) {
      yield* this.#data(offset, length);
    }
    this.#sink.end();
    // Go's archive/tar, and so containerd, takes an end here for the end of the archive.
    this.#inPadding = true;
    if (bodyEnd > 0) yield { exact: bodyEnd };
    this.#inPadding = false;
  }

  /** Passes over a body that nobody can read. */
  *#skip(size: number): Step<void> {
    if (size < 0) throw fault("INVALID_ARGUMENT", "negative size in a tar header");
    for (let left = size; left > 0; ) left -= (yield { upTo: left }).length;
    this.#inPadding = true;
    const bodyEnd = padded(size) - size;
    if (bodyEnd > 0) yield { exact: bodyEnd };
    this.#inPadding = false;
  }

  *#data(offset: number, length: number): Step<void> {
    for (let done = 0; done < length; ) {
      const chunk = yield { upTo: length - done };
      this.#sink.data(chunk, offset + done);
      done += chunk.length;
    }
  }

  *#sparse(header: RawHeader, pax: PaxRecords, stored: number): Step<SparseFile | undefined> {
    if (header.flag === "S") {
      const segments = gnuSegments(header.block, 386, 4);
      let more = header.block[482] === 1;
      while (more) {
        const block = yield { exact: blockBytes };
        segments.push(...gnuSegments(block, 0, 21));
        more = block[504] === 1;
        checkCount(segments.length);
      }
      return { segments, size: number(header.block, 483, 12), mapBytes: 0 };
    }
    const said = paxSparse(pax);
    if (said.kind === "none") return undefined;
    if (said.kind === "map") return { ...said, mapBytes: 0 };
    const map = new MapInData();
    for (let mapBytes = blockBytes; mapBytes <= padded(stored); mapBytes += blockBytes) {
      if (map.add(yield { exact: blockBytes })) {
        return { segments: map.segments(), size: said.size, mapBytes };
      }
    }
    throw fault("INVALID_ARGUMENT", "map of a sparse file is cut off");
  }
}

interface SparseFile {
  readonly segments: readonly Segment[];
  readonly size: number;
  /** Bytes of the stored body that were the map. */
  readonly mapBytes: number;
}

function typeOf(header: RawHeader, name: string): TarType | undefined {
  const type = types[header.flag];
  // Archives from before ustar, whose flag is NUL, mark a folder by its name alone.
  return header.block[156] === 0 && name.endsWith("/") ? "directory" : type;
}

const xattrPrefix = "SCHILY.xattr.";

function xattrsOf(pax: PaxRecords): ReadonlyMap<string, Buffer> {
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of pax.values) {
    if (key.startsWith(xattrPrefix)) xattrs.set(key.slice(xattrPrefix.length), value);
  }
  return xattrs;
}

const shownBytes = 200;

/** A name for a message. */
function shown(name: string): string {
  const start = Buffer.from(name.slice(0, shownBytes), "latin1").toString("utf8");
  return name.length > shownBytes ? `${start}…` : start;
}

function longText(body: Buffer): string {
  return text(body, 0, body.length);
}

function padded(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes;
}
