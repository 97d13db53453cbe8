// SPDX-License-Identifier: Apache-2.0
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type FaultCode, fault, isFault, type RuntimeFault } from "../../base/errors.ts";
import type { RowChange, StoredRow } from "../mirrored-table.ts";
import { migrate } from "./schema.ts";

/** https://www.sqlite.org/rescode.html: those that an operator can act on. */
const causes: Readonly<Record<number, { code: FaultCode; text: string }>> = {
  5: {
    code: "FAILED_PRECONDITION",
    text: "it is locked by another process; is another daemon running?",
  },
  8: { code: "FAILED_PRECONDITION", text: "it is read-only" },
  10: { code: "UNAVAILABLE", text: "the disk failed" },
  11: { code: "DATA_LOSS", text: "the file is damaged" },
  13: { code: "RESOURCE_EXHAUSTED", text: "the disk is full" },
  14: { code: "FAILED_PRECONDITION", text: "it cannot be opened; does its folder exist?" },
  26: { code: "DATA_LOSS", text: "it is no SQLite database" },
};

/** The rows in an SQLite file, held exclusively. Synchronous: it lives in a thread of its own. */
export class SqliteRows implements Disposable {
  readonly #file: string;
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #setAside: StatementSync;

  /** FAILED_PRECONDITION when another process has it open, or a newer daemon wrote it. */
  constructor(file: string) {
    this.#file = file;
    try {
      this.#database = new DatabaseSync(file, { timeout: 1_000 });
    } catch (error) {
      throw this.#explain("open", error);
    }
    try {
      const database = this.#database;
      // Exclusive before WAL: then no shared memory file is made, and the lock stays with us until
      // the process ends, however it ends.
      database.exec("PRAGMA locking_mode = EXCLUSIVE");
      database.exec("PRAGMA journal_mode = WAL");
      database.exec("PRAGMA synchronous = FULL");
      // Only a write takes the exclusive lock, so ask for it now and not at the first change.
      database.exec("BEGIN IMMEDIATE; COMMIT");
      migrate(database, file);
      this.#put = database.prepare(
        `INSERT INTO records (tbl, namespace, id, version, value) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (tbl, namespace, id) DO UPDATE SET version = excluded.version, value = excluded.value`,
      );
      this.#delete = database.prepare(
        "DELETE FROM records WHERE tbl = ? AND namespace = ? AND id = ?",
      );
      this.#setAside = database.prepare(
        `INSERT INTO damaged (tbl, namespace, id, version, value, reason)
         SELECT tbl, namespace, id, version, value, ? FROM records
         WHERE tbl = ? AND namespace = ? AND id = ?`,
      );
    } catch (error) {
      this.#database.close();
      throw this.#explain("open", error);
    }
  }

  readAll(): StoredRow[] {
    try {
      return this.#database
        .prepare("SELECT tbl, namespace, id, version, value FROM records ORDER BY seq")
        .all()
        .map((row) => ({
          table: String(row["tbl"]),
          namespace: String(row["namespace"]),
          id: String(row["id"]),
          version: Number(row["version"]),
          value: String(row["value"]),
        }));
    } catch (error) {
      throw this.#explain("read", error);
    }
  }

  /** All changes, durable, or none. */
  write(changes: readonly RowChange[]): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      for (const change of changes) this.#apply(change);
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw this.#explain("write", error);
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
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
    const number = error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : 0;
    const known = causes[number];
    const text = known?.text ?? (error instanceof Error ? error.message : String(error));
    return fault(known?.code ?? "UNKNOWN", `cannot ${verb} "${this.#file}": ${text}`, {
      cause: error,
    });
  }
}
