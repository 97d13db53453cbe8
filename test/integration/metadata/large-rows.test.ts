// SPDX-License-Identifier: Apache-2.0
// What is stored never keeps a daemon from starting, and never ends the thread that stores it.
import assert from "node:assert/strict";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import test from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { openMetadata } from "../../../src/metadata/sqlite/open-metadata.ts";
import { petCodec } from "../../support/metadata-suite.ts";
import { scratch } from "../../support/scratch.ts";

const mib = 1024 * 1024;

test("rows that together are larger than the thread's heap are read, changed and deleted", async () => {
  await using place = await scratch();
  const file = path.join(place.path, "meta.db");
  await (await openMetadata({ path: file, log: silentLogger }))[Symbol.asyncDispose]();
  const count = 24;
  {
    // As daemons stored them that had no limits.
    using database = new DatabaseSync(file);
    database.exec("PRAGMA synchronous = OFF");
    const insert = database.prepare(
      `INSERT INTO records (tbl, namespace, id, version, value)
       VALUES ('pets', 'a', ?, 2, '{"n":"' || hex(zeroblob(?)) || '","l":4}')`,
    );
    for (let index = 0; index < count; index++) insert.run(String(index), 8 * mib);
  }
  await using store = await openMetadata({ path: file, log: silentLogger });
  const pets = store.table("pets", petCodec);
  assert.equal(pets.list("a").length, count);
  const { name } = pets.get("a", "0")!;
  assert.equal(name.length, 16 * mib);
  await pets.put("a", "0", { name, legs: 3 }); // no larger than it was
  await assert.rejects(pets.put("a", "new", { name, legs: 3 }), {
    code: "RESOURCE_EXHAUSTED",
    message: /^cannot store pets "new": it takes 167772\d\d bytes, more than 4194304$/,
  });
  for (let index = 0; index < count; index++) await pets.delete("a", String(index));
  assert.deepEqual(pets.list("a"), []);
});

test("a burst of large rows is written piece by piece", async () => {
  await using place = await scratch();
  const file = path.join(place.path, "meta.db");
  await using store = await openMetadata({ path: file, log: silentLogger });
  const pets = store.table("pets", petCodec);
  const name = "x".repeat(3 * mib);
  await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      pets.put("a", String(index % 3), { name, legs: index }),
    ),
  );
  assert.equal(pets.list("a").length, 3);
});
