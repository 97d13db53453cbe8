// SPDX-License-Identifier: Apache-2.0
import type { DatabaseSync } from "node:sqlite";
import { fault } from "../../base/errors.ts";
import { version } from "../../base/version.ts";

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

/**
 * Brings a database to the present schema, all steps in one transaction. What it is then is in the file itself and not
 * in its log alone, where a version that is older would not see it before it has opened the file.
 */
export function migrate(
  database: DatabaseSync,
  file: string,
  steps: readonly string[] = migrations,
): void {
  const row = database.prepare("PRAGMA user_version").get();
  const present = Number(row?.["user_version"]);
  if (present > steps.length) throw fault("FAILED_PRECONDITION", newerSchema(file, present));
  if (present === steps.length) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    for (const step of steps.slice(present)) database.exec(step);
    database.exec(`PRAGMA user_version = ${steps.length}`);
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    throw error;
  }
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
}

/** Undoes what an error has left of a transaction. SQLite has done so itself after some, and is then not asked to. */
export function rollBack(database: DatabaseSync): void {
  if (!database.isTransaction) return;
  try {
    database.exec("ROLLBACK");
  } catch {
    // What made it necessary is told.
  }
}

/** What is said of a database that a newer version has written. */
export function newerSchema(file: string, schema: number): string {
  return `cannot open "${file}": it has schema version ${schema}, and berthd ${version} knows up to ${schemaVersion}; start the newer version that wrote it, or drain the node and begin with an empty root`;
}

/**
 * What there is to do about a database that is damaged as a whole. Its pods run on meanwhile. The log that lies there would be
 * replayed on the copy, which it does not belong to.
 */
export const wayOut =
  "put back a copy of it, with the files ending in -wal and -reserve beside it taken away, or drain the node and begin with an empty root";
