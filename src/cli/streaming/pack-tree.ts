// SPDX-License-Identifier: Apache-2.0
import {
  type BigIntStats,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { errnoOf, fault } from "../../base/errors.ts";
import { attributeNames, attributeOf } from "../../base/os/attributes.ts";
import {
  type LongNames,
  type NewTarEntry,
  plainMember,
  tarEnd,
  tarHeader,
  tarPadding,
  tarTime,
} from "../../images/tar/tar-writer.ts";

const chunkBytes = 256 * 1024;
const readFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface PackOptions {
  /** How names that are too long for a plain header are written. */
  readonly longNames: LongNames;
  /** Called for what is left out: sockets, pipes and devices. */
  readonly onSkip: (what: string) => void;
}

/**
 * Writes a file or folder as a tar archive, in which its name is `name`: names as bytes, links, hard links of files
 * in the tree to one another, and with PAX also their attributes and capabilities.
 */
export async function packTree(
  source: string,
  name: string,
  sink: Writable,
  options: PackOptions,
): Promise<void> {
  const packing = new Packing(source, options);
  const members = packing.members(latin1(source), latin1(name));
  await pipeline(Readable.from(members, { objectMode: false }), sink);
}

class Packing {
  readonly #source: string;
  readonly #options: PackOptions;
  /** For each inode with several names the name that is in the archive. */
  readonly #names = new Map<string, string>();

  constructor(source: string, options: PackOptions) {
    this.#source = source;
    this.#options = options;
  }

  *members(file: string, name: string): Generator<Buffer, void, undefined> {
    yield* this.#member(file, name);
    yield tarEnd;
  }

  *#member(file: string, name: string): Generator<Buffer, void, undefined> {
    const stat = this.#lookAt(file);
    const common: NewTarEntry = { ...plainMember, ...looksOf(stat), name, type: "file" };
    if (stat.isDirectory()) {
      yield this.#header({ ...common, type: "directory", name: `${name}/` });
      const children = readdirSync(bytes(file), { encoding: "latin1" });
      for (const child of children.sort()) {
        yield* this.#member(`${file}/${child}`, `${name}/${child}`);
      }
    } else if (stat.isSymbolicLink()) {
      const linkName = readlinkSync(bytes(file), "buffer").toString("latin1");
      yield this.#header({ ...common, type: "symlink", linkName });
    } else if (stat.isFile()) {
      const linkName = this.#nameOf(stat, name);
      if (linkName === undefined) yield* this.#content(file, common);
      else yield this.#header({ ...common, type: "hardlink", linkName });
    } else {
      this.#options.onSkip(`${bytes(file).toString()}: a ${kindOf(stat)}`);
    }
  }

  /** Exactly as many bytes as the header says: the file may be growing. */
  *#content(file: string, common: NewTarEntry): Generator<Buffer, void, undefined> {
    const fd = openSync(bytes(file), readFile);
    try {
      const { size } = common;
      const xattrs = this.#options.longNames === "pax" ? attributesToPack(fd) : plainMember.xattrs;
      yield this.#header({ ...common, xattrs });
      for (let done = 0; done < size; ) {
        const chunk = Buffer.alloc(Math.min(chunkBytes, size - done));
        const got = readSync(fd, chunk, 0, chunk.length, done);
        if (got === 0) {
          throw fault("ABORTED", `file "${bytes(file).toString()}" shrank while it was read`);
        }
        yield chunk.subarray(0, got);
        done += got;
      }
      yield tarPadding(size);
    } finally {
      closeSync(fd);
    }
  }

  #header(entry: NewTarEntry): Buffer {
    return tarHeader(entry, this.#options.longNames);
  }

  #nameOf({ nlink, dev, ino }: BigIntStats, name: string): string | undefined {
    if (nlink < 2n) return undefined;
    const first = this.#names.get(`${dev}:${ino}`);
    if (first === undefined) this.#names.set(`${dev}:${ino}`, name);
    return first;
  }

  #lookAt(file: string): BigIntStats {
    try {
      return lstatSync(bytes(file), { bigint: true });
    } catch (cause) {
      if (errnoOf(cause) !== "ENOENT") throw cause;
      const shown = file === latin1(this.#source) ? this.#source : bytes(file).toString();
      throw fault("NOT_FOUND", `${shown} not found`, { cause });
    }
  }
}

function looksOf(stat: BigIntStats): Pick<NewTarEntry, "mode" | "uid" | "gid" | "size" | "mtime"> {
  return {
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: stat.isFile() ? Number(stat.size) : 0,
    mtime: tarTime(stat.mtimeNs),
  };
}

function attributesToPack(fd: number): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const name of attributeNames(fd)) {
    if (name !== "security.capability" && !name.startsWith("user.")) continue;
    const value = attributeOf(fd, name);
    if (value !== undefined) found.set(name, value);
  }
  return found;
}

function kindOf(stat: BigIntStats): string {
  if (stat.isFIFO()) return "pipe";
  return stat.isSocket() ? "socket" : "device";
}

function latin1(path: string): string {
  return Buffer.from(path).toString("latin1");
}

function bytes(path: string): Buffer {
  return Buffer.from(path, "latin1");
}
