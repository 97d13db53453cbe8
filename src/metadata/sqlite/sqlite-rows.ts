// SPDX-License-Identifier: Apache-2.0
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  rmSync,
} from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  errnoOf,
  type FaultCode,
  fault,
  isFault,
  type RuntimeFault,
  toFault,
} from "../../base/errors.ts";
import type { RowChange, StoredRow } from "../mirrored-table.ts";
import { FileGuard } from "./file-guard.ts";
import { DatabaseReserve } from "./reserve.ts";
import { migrate, rollBack, wayOut } from "./schema.ts";

const full = 13;
const batchBytes = 1024 * 1024;
/** The pause after an attempt on a full disk: each attempt takes space for a moment that others could use. */
const fillPauseMs = 5_000;

/** https://www.sqlite.org/rescode.html: those that an operator can act on. */
const causes: Readonly<Record<number, { code: FaultCode; text: string }>> = {
  5: {
    code: "FAILED_PRECONDITION",
    text: "it is locked by another process; is another daemon running?",
  },
  8: { code: "FAILED_PRECONDITION", text: "it is read-only" },
  10: { code: "UNAVAILABLE", text: "the disk failed, or a quota is used up" },
  11: { code: "DATA_LOSS", text: "the file is damaged" },
  [full]: { code: "RESOURCE_EXHAUSTED", text: "no space left on device" },
  14: { code: "FAILED_PRECONDITION", text: "it cannot be opened; does its folder exist?" },
  26: { code: "DATA_LOSS", text: "it is no SQLite database" },
};

/** The rows in an SQLite file, held exclusively. Synchronous: it lives in a thread of its own. */
export class SqliteRows implements Disposable {
  readonly #file: string;
  /** Opened before SQLite opens it and closed after, see DatabaseReserve. */
  readonly #fd: number;
  readonly #database: DatabaseSync;
  readonly #reserve: DatabaseReserve;
  readonly #guard: FileGuard;
  #fillAgainAt = 0;
  readonly #put: StatementSync;
  readonly #has: StatementSync;
  readonly #delete: StatementSync;
  readonly #setAside: StatementSync;

  /**
   * FAILED_PRECONDITION when another process has it open, a newer daemon wrote it, or something else than
   * a file lies there.
   */
  constructor(file: string) {
    this.#file = file;
    this.#fd = openPrivate(file);
    try {
      refuseOtherThanFile(`${file}-wal`);
      DatabaseReserve.reclaim(file);
      this.#database = new DatabaseSync(file, { timeout: 1_000 });
    } catch (error) {
      closeSync(this.#fd);
      throw this.#explain("open", error);
    }
    try {
      const database = this.#database;
      // Exclusive before WAL: then no shared memory file is made, and the lock stays with us until
      // the process ends, however it ends.
      database.exec("PRAGMA locking_mode = EXCLUSIVE");
      database.exec("PRAGMA journal_mode = WAL");
      database.exec("PRAGMA synchronous = FULL");
      database.exec("PRAGMA temp_store = MEMORY");
      // Only a write takes the exclusive lock, so ask for it now and not at the first change.
      database.exec("BEGIN IMMEDIATE; COMMIT");
      migrate(database, file);
      chmodSync(`${file}-wal`, 0o600); // SQLite gives a new one the database's mode, an old one may have any
      this.#put = database.prepare(
        `INSERT INTO records (tbl, namespace, id, version, value) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (tbl, namespace, id) DO UPDATE SET version = excluded.version, value = excluded.value`,
      );
      this.#has = database.prepare(
        "SELECT 1 FROM records WHERE tbl = ? AND namespace = ? AND id = ?",
      );
      this.#delete = database.prepare(
        "DELETE FROM records WHERE tbl = ? AND namespace = ? AND id = ?",
      );
      this.#setAside = database.prepare(
        `INSERT INTO damaged (tbl, namespace, id, version, value, reason)
         SELECT tbl, namespace, id, version, value, ? FROM records
         WHERE tbl = ? AND namespace = ? AND id = ?`,
      );
      this.#reserve = new DatabaseReserve(file, this.#fd, database);
      this.#guard = new FileGuard(file, this.#fd);
    } catch (error) {
      this.#database.close();
      closeSync(this.#fd);
      throw this.#explain("open", error);
    }
  }

  /** All rows in the order they came, some at a time: of a megabyte, or one that is larger. */
  *batches(): Generator<StoredRow[]> {
    try {
      const rows = this.#database
        .prepare("SELECT tbl, namespace, id, version, value FROM records ORDER BY seq")
        .iterate();
      let batch: StoredRow[] = [];
      let bytes = 0;
      for (const row of rows) {
        const value = String(row["value"]);
        batch.push({
          table: String(row["tbl"]),
          namespace: String(row["namespace"]),
          id: String(row["id"]),
          version: Number(row["version"]),
          value,
        });
        bytes += value.length;
        if (bytes < batchBytes) continue;
        yield batch;
        batch = [];
        bytes = 0;
      }
      yield batch;
    } catch (error) {
      throw this.#explain("read", error);
    }
  }

  /**
   * All changes, durable, or none. RESOURCE_EXHAUSTED when the disk has no room for what is new, DATA_LOSS when somebody has
   * removed, replaced or cut off a file of the database.
   */
  write(changes: readonly RowChange[]): void {
    this.#guard.check();
    try {
      this.#write(changes);
    } finally {
      this.#guard.remember();
    }
  }

  #write(changes: readonly RowChange[]): void {
    try {
      this.#attempt(changes);
    } catch (error) {
      if (numberOf(error) !== full) throw this.#explain("write", error);
      try {
        this.#reserve.checkpoint();
        this.#reserve.fill(changes.reduce((sum, change) => sum + sizeOf(change), 0));
        this.#attempt(changes);
      } catch (again) {
        throw this.#explain("write", again);
      }
    }
  }

  /** What write would refuse everything for, see FileGuard. */
  get harm(): string | undefined {
    return this.#guard.harm();
  }

  /** Work that can wait until a write has been answered: fills up the reserve again. */
  settle(): void {
    if (performance.now() < this.#fillAgainAt) return;
    let isFilled = false;
    try {
      if (this.#reserve.isEnough) return;
      this.#guard.check();
      isFilled = this.#reserve.fill();
      this.#guard.remember();
    } catch {
      // A file that is not ours any more, or a disk that fails: the next write says so, to who asks for it.
    }
    if (!isFilled) this.#fillAgainAt = performance.now() + fillPauseMs;
  }

  [Symbol.dispose](): void {
    if (!this.#database.isOpen) return;
    const isElsewhere = this.#isElsewhere();
    // SQLite would leave the log, and the next start replay it on whatever has the database's name by then.
    const isLogDone = isElsewhere && this.#reserve.emptyLog();
    if (!isElsewhere) this.#reserve.keepLog();
    this.#database.close();
    if (isLogDone) rmSync(`${this.#file}-wal`, { force: true });
    closeSync(this.#fd);
  }

  #isElsewhere(): boolean {
    try {
      return this.#guard.isElsewhere;
    } catch {
      return false; // a disk that fails
    }
  }

  #attempt(changes: readonly RowChange[]): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      let isNew = false;
      for (const change of changes) {
        isNew ||= change.kind === "put" && !this.#isKnown(change.row);
        this.#apply(change);
      }
      if (isNew && this.#reserve.isLow) {
        throw Object.assign(new Error("what is free is kept for removals"), { errcode: full });
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      rollBack(this.#database);
      throw error;
    }
  }

  #isKnown({ table, namespace, id }: StoredRow): boolean {
    return this.#has.get(table, namespace, id) !== undefined;
  }

  #apply(change: RowChange): void {
    if (change.kind === "put") {
      const { table, namespace, id, version, value } = change.row;
      this.#put.run(table, namespace, id, version, value);
      return;
    }
    const { table, namespace, id } = change.key;
    if (change.kind === "set-aside") this.#setAside.run(change.reason, table, namespace, id);
    this.#delete.run(table, namespace, id);
  }

  #explain(verb: string, error: unknown): RuntimeFault {
    if (isFault(error)) return error;
    const known = causes[numberOf(error)];
    if (!known && errnoOf(error)?.startsWith("E")) {
      const { code, message } = toFault(error);
      return fault(code, `cannot ${verb} "${this.#file}": ${message}`, { cause: error });
    }
    const what = known?.text ?? (error instanceof Error ? error.message : String(error));
    const text = verb === "open" && known?.code === "DATA_LOSS" ? `${what}; ${wayOut}` : what;
    return fault(known?.code ?? "UNKNOWN", `cannot ${verb} "${this.#file}": ${text}`, {
      cause: error,
    });
  }
}

/** The database file, made when missing, for its owner alone. */
function openPrivate(file: string): number {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  let fd: number;
  try {
    fd = openSync(file, flags, 0o600);
  } catch (error) {
    const { code, message } = toFault(error);
    const known = code === "UNKNOWN" ? "FAILED_PRECONDITION" : code;
    throw fault(known, `cannot open "${file}": ${message}`, { cause: error });
  }
  if (!fstatSync(fd).isFile()) {
    closeSync(fd);
    throw fault("FAILED_PRECONDITION", `cannot open "${file}": it is no regular file`);
  }
  fchmodSync(fd, 0o600);
  return fd;
}

function refuseOtherThanFile(file: string): void {
  if (lstatSync(file, { throwIfNoEntry: false })?.isFile() ?? true) return;
  throw fault("FAILED_PRECONDITION", `cannot open "${file}": it is no regular file`);
}

/** The primary result code of SQLite; 0 for another error. */
function numberOf(error: unknown): number {
  return error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : 0;
}

function sizeOf(change: RowChange): number {
  return change.kind === "put" ? Buffer.byteLength(change.row.value) : 0;
}
