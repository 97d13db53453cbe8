// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { openMetadata } from "../../../src/metadata/sqlite/open-metadata.ts";
import { lacking } from "../../support/lacking.ts";
import { petCodec } from "../../support/metadata-suite.ts";
import { must } from "../../support/run.ts";
import { scratch } from "../../support/scratch.ts";

/** From here on no byte behind the first page is written by this process: to SQLite, a disk that fails. */
const limit = (bytes: string) =>
  must("prlimit", ["--pid", String(process.pid), `--fsize=${bytes}:`]);

test("a disk that fails for a while costs what is written meanwhile, and not the daemon", {
  skip: lacking("prlimit"),
}, async () => {
  await using home = await scratch({ prefix: "failing" });
  const file = path.join(home.path, "meta.db");
  const lost: Error[] = [];
  const pet = (legs: number) => ({ name: "x".repeat(2_000_000), legs });
  const known = [1, 2, 6, 7].map(pet);
  {
    await using store = await openMetadata({
      path: file,
      log: silentLogger,
      onLost: (error) => lost.push(error),
    });
    const pets = store.table("pets", petCodec);
    await pets.put("a", "1", pet(1));
    await pets.put("a", "2", pet(2));
    await limit("4096");
    try {
      for (const legs of [3, 4, 5]) {
        await assert.rejects(pets.put("a", String(legs), pet(legs)), {
          code: "UNAVAILABLE",
          message: `cannot write "${file}": the disk failed, or a quota is used up`,
        });
      }
    } finally {
      await limit("unlimited");
    }
    await pets.put("a", "6", pet(6));
    await pets.put("a", "7", pet(7));
    assert.deepEqual(pets.list("a"), known);
  }
  assert.deepEqual(lost, []);
  await using store = await openMetadata({ path: file, log: silentLogger });
  assert.deepEqual(store.table("pets", petCodec).list("a"), known);
});
