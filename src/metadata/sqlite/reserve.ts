// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { errnoOf } from "../../base/errors.ts";
import { rollBack } from "./schema.ts";

const mib = 1024 * 1024;

/**
 * Free pages that the database file keeps. Above `low` a new record may take some; the rest is for the
 * changes of records that are there: the largest (see `maxRowBytes`) can be written once more. They are filled up to
 * `full` when they fall below `wanted`: a filling writes all of them, so there must be many records between two. Where the
 * disk has no room for so many they are filled up to `wanted`.
 */
const pagesLowBytes = 4.5 * mib;
const pagesWantedBytes = 5.5 * mib;
const pagesFullBytes = 7 * mib;
/** The log's size. A checkpoint comes at 4 MiB; the rest has room for any one deletion, and more. */
const walBytes = 8 * mib;
/** Beside the payload of a new page run: the pages that list others. */
const slackBytes = 256 * 1024;
const pieceBytes = 2 * mib;
const walHeaderBytes = 32;
const reserveTable = "reserve";
const noRoom = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/**
 * Keeps space inside the database's own files, so that records can be changed and deleted on a full
 * disk. Nothing is ever given back to the file system, where whoever fills the disk would take it:
 *
 * - The database file has free pages, and `max_page_count` keeps SQLite from growing it by itself. So a
 *   checkpoint, which writes pages into this file, never needs space.
 * - The log (`-wal`) is as long as it will ever have to be, and SQLite starts it over from its front.
 *   It would be unlinked when the database is closed: a second name (`-reserve`) keeps it until then.
 *
 * Zeros are written, not allocated, because every file system can do that and means it.
 */
export class DatabaseReserve {
  readonly #file: string;
  readonly #fd: number;
  readonly #database: DatabaseSync;
  readonly #pageBytes: number;

  /**
   * `fd` is the open database file. It must have been opened before SQLite did and be closed after:
   * closing any descriptor of a file drops all locks that the process has on it.
   */
  constructor(file: string, fd: number, database: DatabaseSync) {
    this.#file = file;
    this.#fd = fd;
    this.#database = database;
    this.#pageBytes = this.#number("PRAGMA page_size");
    database.exec(`DROP TABLE IF EXISTS ${reserveTable}`); // a crash came between the steps below
    this.#hold();
  }

  /** Before the database is opened: the log that the last daemon kept becomes the log again. */
  static reclaim(file: string): void {
    const kept = `${file}-reserve`;
    if (!isFile(kept)) return;
    if (isFile(`${file}-wal`)) return rmSync(kept); // a crash came before the log was closed
    const fd = openSync(kept, "r+");
    try {
      // Without its header nothing in it counts. What it holds is in the database since it was closed.
      writeSync(fd, Buffer.alloc(walHeaderBytes), 0, walHeaderBytes, 0);
      fdatasyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(kept, `${file}-wal`);
  }

  /** Before the database is closed. Where it fails the next daemon starts without. */
  keepLog(): void {
    try {
      rmSync(`${this.#file}-reserve`, { force: true });
      linkSync(`${this.#file}-wal`, `${this.#file}-reserve`);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }

  /** Whether there are as many free pages as there should be. */
  get isEnough(): boolean {
    return this.#freeBytes() >= pagesWantedBytes;
  }

  /** Whether there are too few free pages for anything new. Right within a transaction too. */
  get isLow(): boolean {
    return this.#freeBytes() < pagesLowBytes;
  }

  /** The log's content goes into the database, so that the next change starts at the log's front. */
  checkpoint(): void {
    this.#database.exec("PRAGMA wal_checkpoint(PASSIVE)");
  }

  /** All of the log's content goes into the database, wherever that is by now. False where it did not. */
  emptyLog(): boolean {
    try {
      const row = this.#database.prepare("PRAGMA wal_checkpoint(RESTART)").get() ?? {};
      return row["busy"] === 0 && row["log"] === row["checkpointed"];
    } catch {
      return false;
    }
  }

  /**
   * Fills up to what should be free and `bytes` beside it, or nearer to it. False when the disk has no room for all of it:
   * then it need not be tried again at once.
   */
  fill(bytes = 0): boolean {
    if (this.#fillTo(pagesFullBytes + bytes)) return true;
    this.#fillTo(pagesWantedBytes + bytes);
    return false;
  }

  #fillTo(bytes: number): boolean {
    if (this.#freeBytes() >= bytes) return true;
    try {
      this.#database.exec(`DROP TABLE IF EXISTS ${reserveTable}`); // a disk that failed may have kept it
      this.#lengthenLog();
      this.checkpoint();
      this.#usePages(bytes);
      return true;
    } catch (error) {
      // No room: the write that needs it says so.
      if (!noRoom.has(errnoOf(error) ?? "") && !isFull(error)) throw error;
      return false;
    } finally {
      rollBack(this.#database);
      this.#database.exec(`DROP TABLE IF EXISTS ${reserveTable}`);
      this.#hold();
    }
  }

  /**
   * Lets a table take the free pages and then new ones, in pieces that fit the log. The file is made long enough
   * before each: the checkpoint, which writes the piece into the file and cuts off what is not used, then needs no
   * space.
   */
  #usePages(bytes: number): void {
    for (let rest = bytes; rest > 0; rest -= pieceBytes) {
      const piece = Math.ceil(Math.min(rest, pieceBytes));
      const missing = Math.max(0, piece + slackBytes - this.#freeBytes());
      const total = this.#number("PRAGMA page_count") + Math.ceil(missing / this.#pageBytes);
      lengthen(this.#fd, total * this.#pageBytes);
      this.#database.exec(`PRAGMA max_page_count = ${total}`);
      this.#database.exec(`CREATE TABLE IF NOT EXISTS ${reserveTable} (value BLOB)`);
      this.#database.exec(`INSERT INTO ${reserveTable} VALUES (zeroblob(${piece}))`);
      this.checkpoint();
    }
  }

  #lengthenLog(): void {
    const fd = openSync(`${this.#file}-wal`, "r+");
    try {
      lengthen(fd, walBytes);
    } finally {
      closeSync(fd);
    }
  }

  /** Keeps SQLite to the pages that there are. */
  #hold(): void {
    this.#database.exec(`PRAGMA max_page_count = ${this.#number("PRAGMA page_count")}`);
  }

  #freeBytes(): number {
    return this.#number("PRAGMA freelist_count") * this.#pageBytes;
  }

  #number(pragma: string): number {
    return Number(Object.values(this.#database.prepare(pragma).get() ?? {})[0]);
  }
}

/** Writes zeros behind the file's end, or leaves it as it was. */
function lengthen(fd: number, bytes: number): void {
  const { size } = fstatSync(fd);
  const zeros = Buffer.alloc(Math.min(mib, Math.max(0, bytes - size)));
  try {
    for (let at = size; at < bytes; ) {
      at += writeSync(fd, zeros, 0, Math.min(zeros.byteLength, bytes - at), at);
    }
    if (bytes > size) fdatasyncSync(fd);
  } catch (error) {
    ftruncateSync(fd, size);
    throw error;
  }
}

/** SQLite's own word for it. */
function isFull(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === 13;
}

function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
