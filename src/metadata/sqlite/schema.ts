// SPDX-License-Identifier: Apache-2.0
import type { DatabaseSync } from "node:sqlite";
import { fault } from "../../base/errors.ts";

/**
 * The steps from an empty file to the present layout; step n leads to schema version n + 1, which
 * SQLite keeps as user_version. Steps are never edited once released, only added.
 */
const migrations: readonly string[] = [
  // `seq` keeps the order in which records came; a replaced record keeps its place.
  `CREATE TABLE records (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     tbl TEXT NOT NULL,
     namespace TEXT NOT NULL,
     id TEXT NOT NULL,
     version INTEGER NOT NULL,
     value TEXT NOT NULL,
     UNIQUE (tbl, namespace, id)
   ) STRICT;
   CREATE TABLE damaged (
     tbl TEXT NOT NULL,
     namespace TEXT NOT NULL,
     id TEXT NOT NULL,
     version INTEGER NOT NULL,
     value TEXT NOT NULL,
     reason TEXT NOT NULL,
     set_aside_at TEXT NOT NULL DEFAULT (datetime('now'))
   ) STRICT;`,
];

export const schemaVersion = migrations.length;

/** Brings a database to the present schema, all steps in one transaction. */
export function migrate(database: DatabaseSync, file: string): void {
  const row = database.prepare("PRAGMA user_version").get();
  const present = Number(row?.["user_version"]);
  if (present > schemaVersion) {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot open "${file}": it has schema version ${present}, this daemon knows up to ${schemaVersion}`,
    );
  }
  if (present === schemaVersion) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    for (const step of migrations.slice(present)) database.exec(step);
    database.exec(`PRAGMA user_version = ${schemaVersion}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}
