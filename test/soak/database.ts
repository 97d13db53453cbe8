// SPDX-License-Identifier: Apache-2.0
import { copyFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Rows by table, and the files' sizes. The daemon holds its database exclusively, so a copy is read: at a
 * quiet point nobody writes.
 */
export async function databaseCounts(root: string, scratch: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const copy = path.join(scratch, "meta.db");
  try {
    for (const end of ["", "-wal"]) {
      await copyFile(path.join(root, `meta.db${end}`), `${copy}${end}`);
      const { size } = await stat(path.join(root, `meta.db${end}`));
      counts.set(`KiB of meta.db${end}`, size / 1024);
    }
    using database = new DatabaseSync(copy);
    const rows = database.prepare("SELECT tbl, count(*) AS n FROM records GROUP BY tbl").all();
    for (const row of rows) counts.set(`rows of ${String(row["tbl"])}`, Number(row["n"]));
    const damaged = database.prepare("SELECT count(*) AS n FROM damaged").get();
    counts.set("damaged rows", Number(damaged?.["n"]));
  } finally {
    for (const end of ["", "-wal", "-shm"]) await rm(`${copy}${end}`, { force: true });
  }
  return counts;
}
