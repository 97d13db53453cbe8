// SPDX-License-Identifier: Apache-2.0
import { fstatSync, lstatSync, type Stats } from "node:fs";
import { fault } from "../../base/errors.ts";
import { wayOut } from "./schema.ts";

/**
 * Notices what others have done to the files of an open database. SQLite would go on writing, to files that no next
 * daemon finds, or with a hole where records were.
 */
export class FileGuard {
  readonly #file: string;
  readonly #fd: number;
  #seen: Seen;

  /** `fd` is the open database file; its log is there by now. */
  constructor(file: string, fd: number) {
    this.#file = file;
    this.#fd = fd;
    this.#seen = this.#look();
  }

  /** After each change of one's own. */
  remember(): void {
    this.#seen = this.#look();
  }

  /** DATA_LOSS when a file was removed, replaced or cut off since. One that is put back is as good as before. */
  check(): void {
    const now = this.#look();
    const harm =
      harmOf("it", this.#seen.database, now.database) ?? harmOf("its log", this.#seen.log, now.log);
    if (harm === undefined) return;
    throw fault("DATA_LOSS", `cannot write "${this.#file}": ${harm} while it was open; ${wayOut}`);
  }

  #look(): Seen {
    const { dev, ino, size } = fstatSync(this.#fd);
    const named = statOf(this.#file);
    const isNamed = named !== undefined && named.ino === ino && named.dev === dev;
    return {
      database: { ino: isNamed ? ino : named?.ino, size },
      log: statOf(`${this.#file}-wal`),
    };
  }
}

/** Without a number where its name leads to nothing. */
type Look = { readonly ino: number | undefined; readonly size: number } | undefined;

interface Seen {
  readonly database: Look;
  readonly log: Look;
}

function statOf(file: string): Stats | undefined {
  return lstatSync(file, { throwIfNoEntry: false });
}

function harmOf(what: string, before: Look, now: Look): string | undefined {
  if (before?.ino === undefined) return undefined;
  if (now?.ino === undefined) return `${what} was removed`;
  if (now.ino !== before.ino) return `${what} was replaced`;
  if (now.size >= before.size) return undefined;
  return `${what} was cut off (${now.size} bytes of ${before.size})`;
}
