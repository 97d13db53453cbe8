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
  readonly #seen: Seen;

  /** `fd` is the open database file; its log is there by now. */
  constructor(file: string, fd: number) {
    this.#file = file;
    this.#fd = fd;
    this.#seen = this.#look();
  }

  /** After each change of one's own: sizes alone. What is gone by then, or another file, is told all the same. */
  remember(): void {
    try {
      const { database, log } = this.#look();
      if (database?.id === this.#seen.database?.id) this.#seen.database = database;
      if (log?.id === this.#seen.log?.id) this.#seen.log = log;
    } catch {
      // What has been written is written. The next check tells of a disk that fails.
    }
  }

  /** DATA_LOSS when a file was removed, replaced or cut off since. One that is put back is as good as before. */
  check(): void {
    const harm = this.harm();
    if (harm !== undefined) throw fault("DATA_LOSS", harm);
  }

  /** What check says. */
  harm(): string | undefined {
    const now = this.#look();
    const harm =
      harmOf("it", this.#seen.database, now.database) ?? harmOf("its log", this.#seen.log, now.log);
    return harm && `cannot write "${this.#file}": ${harm} while it was open; ${wayOut}`;
  }

  /** Whether another file, or none, has the database's name. */
  get isElsewhere(): boolean {
    return this.#seen.database?.id !== this.#look().database?.id;
  }

  #look(): Seen {
    const log = statOf(`${this.#file}-wal`);
    const named = statOf(this.#file);
    // Of one that has been moved away the name says nothing, and the size is still its own.
    const { size } = fstatSync(this.#fd);
    return {
      database: named && { id: idOf(named), size },
      log: log && { id: idOf(log), size: log.size },
    };
  }
}

/** `id` is the same for the same file. */
type Look = { readonly id: string; readonly size: number } | undefined;

interface Seen {
  database: Look;
  log: Look;
}

function statOf(file: string): Stats | undefined {
  return lstatSync(file, { throwIfNoEntry: false });
}

function idOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

function harmOf(what: string, before: Look, now: Look): string | undefined {
  if (before === undefined) return undefined;
  if (now === undefined) return `${what} was removed`;
  if (now.id !== before.id) return `${what} was replaced`;
  if (now.size >= before.size) return undefined;
  return `${what} was cut off (${now.size} bytes of ${before.size})`;
}
