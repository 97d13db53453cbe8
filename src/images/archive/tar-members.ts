// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { fault } from "../../base/errors.ts";
import { type TarEntry, TarReader, type TarSink } from "../tar/tar-reader.ts";

/** An archive of images has some files for each layer. */
const maxMembers = 50_000;
const maxNameBytes = 4096;
/** Of all names and links together, which stay in memory while it is read: 160 for each of as many files as there may be. */
const maxNamesBytes = 8_000_000;
const maxLinks = 8;

/** What is remembered of a member. */
type Member = Pick<TarEntry, "type" | "name" | "linkName" | "size" | "dataOffset">;

/** Where a file's bytes are in the plain archive. */
export type FilePlace = Pick<Member, "size" | "dataOffset">;

/** Hears of the files of an archive as they come. */
export interface FilesHeard {
  file(place: FilePlace): void;
  data(chunk: Buffer): void;
  end(): void;
}

/** The members of a tar archive by their names; its plain bytes are pushed. RESOURCE_EXHAUSTED for more than images have. */
export class TarMembers {
  readonly #members = new Map<string, Member>();
  readonly #reader: TarReader;
  #count = 0;
  #namesBytes = 0;

  constructor(heard?: FilesHeard) {
    const sink: TarSink = {
      entry: (entry) => {
        this.#add(entry);
        heard?.file(entry);
      },
      data: (chunk) => heard?.data(chunk),
      end: () => heard?.end(),
      unknown: () => {},
    };
    this.#reader = new TarReader(sink);
  }

  /** False once the archive's own end has come. */
  push(chunk: Buffer): boolean {
    this.#reader.push(chunk);
    return !this.#reader.isAtEnd;
  }

  /** Call when there are no more bytes. INVALID_ARGUMENT when the archive should have gone on. */
  finish(): void {
    this.#reader.finish();
    if (this.#reader.isEmpty) throw fault("INVALID_ARGUMENT", "it is empty");
  }

  /** The file of a name; older archives store a layer that occurs twice as a link. */
  find(name: string): FilePlace | undefined {
    let at = placeOf(name);
    for (let links = 0; links < maxLinks; links += 1) {
      const member = this.#members.get(at);
      if (member?.type === "symlink") {
        const target = utf8(member.linkName);
        at = placeOf(target.startsWith("/") ? target : `${path.posix.dirname(at)}/${target}`);
      } else if (member?.type === "hardlink") at = placeOf(utf8(member.linkName));
      else return member?.type === "file" ? member : undefined;
    }
    return undefined;
  }

  #add({ type, name, linkName, size, dataOffset, storedBytes }: TarEntry): void {
    this.#count += 1;
    if (this.#count > maxMembers) {
      throw fault("RESOURCE_EXHAUSTED", `archive has more than ${maxMembers} files`);
    }
    if (name.length > maxNameBytes || linkName.length > maxNameBytes) {
      throw fault("INVALID_ARGUMENT", "archive has a name that is too long");
    }
    this.#namesBytes += name.length + linkName.length;
    if (this.#namesBytes > maxNamesBytes) {
      throw fault("RESOURCE_EXHAUSTED", `archive has names of more than ${maxNamesBytes} bytes`);
    }
    if (size !== storedBytes) {
      throw fault("INVALID_ARGUMENT", `archive holds a sparse file: "${utf8(name)}"`);
    }
    this.#members.set(placeOf(utf8(name)), { type, name, linkName, size, dataOffset });
  }
}

/** A name below the archive's root, where absolute ones begin, too. */
function placeOf(name: string): string {
  return path.posix.join("/", name).slice(1);
}

function utf8(name: string): string {
  return Buffer.from(name, "latin1").toString("utf8");
}
