// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import path from "node:path";

/** As if the only ingest in a content store's folder had been begun so long ago, and not been written to since. */
export async function ageIngest(root: string, seconds: number): Promise<void> {
  const then = Math.round(Date.now() / 1000) - seconds;
  const [name = ""] = await readdir(path.join(root, "ingest"));
  const folder = path.join(root, "ingest", name);
  await utimes(path.join(folder, "data"), then, then);
  const file = path.join(folder, "ingest.json");
  const facts = JSON.parse(await readFile(file, "utf8")) as object;
  await writeFile(file, JSON.stringify({ ...facts, startedAt: `${then}000000000` }));
}
