// SPDX-License-Identifier: Apache-2.0
// The database on a disk that is full, and stays full whatever is given back.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, statSync, truncateSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import test from "node:test";
import { isFault } from "../../../src/base/errors.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import type { MetadataStore, RecordTable } from "../../../src/metadata/ports.ts";
import { openMetadata } from "../../../src/metadata/sqlite/open-metadata.ts";
import { DatabaseReserve } from "../../../src/metadata/sqlite/reserve.ts";
import { type Pet, petCodec } from "../../support/metadata-suite.ts";
import { scratch } from "../../support/scratch.ts";
import { type DiskKind, mountSmallDisk, type SmallDisk } from "../../support/small-disk.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const full = { code: "RESOURCE_EXHAUSTED", message: /meta\.db": no space left on device$/ };
const pet = (letters: number): Pet => ({ name: "x".repeat(letters), legs: 4 });

/** Names the file in the environment of the process that fills a store; see `leave`. */
const storeVariable = "BERTH_TEST_STORE";

interface Room {
  readonly file: string;
  readonly disk: SmallDisk;
  open(): Promise<MetadataStore>;
}

const filled = process.env[storeVariable];
if (filled !== undefined) await fillFrom(filled);

for (const kind of filled === undefined ? (["ext4", "tmpfs"] satisfies DiskKind[]) : []) {
  const onDisk = (name: string, run: (room: Room) => Promise<void>): void => {
    test(`${kind}: ${name}`, { skip, timeout: 120_000 }, async () => {
      await using place = await scratch();
      const target = await place.folder("disk");
      const image = path.join("/dev/shm", `berth-disk-${place.tag}`); // its flushes are no disk's
      using disk = mountSmallDisk(kind, target, { bytes: 32 * 1024 * 1024, image });
      const file = path.join(target, "meta.db");
      await run({ file, disk, open: () => openMetadata({ path: file, log: silentLogger }) });
      disk.clear(); // the check itself needs some
      using database = new DatabaseSync(file);
      const { integrity_check: verdict } = database.prepare("PRAGMA integrity_check").get() ?? {};
      assert.equal(verdict, "ok");
    });
  };

  onDisk("records are deleted and changed, new ones are refused, and taken again", async (room) => {
    await using store = await room.open();
    const pets = store.table("pets", petCodec);
    for (let index = 0; index < 20; index++) await pets.put("a", String(index), pet(20_000));
    room.disk.fill();
    await putUntilFull(pets, 90_000);
    room.disk.fill();
    await assert.rejects(pets.put("a", "new", pet(2_000_000)), full);
    for (let index = 0; index < 20; index++) {
      await pets.put("a", String(index), { ...pet(20_000), legs: 3 });
      room.disk.fill();
    }
    await pets.put("a", "0", pet(3_500_000)); // the largest change there is
    room.disk.fill();
    for (let index = 0; index < 20; index++) {
      await pets.delete("a", String(index));
      room.disk.fill();
    }
    assert.deepEqual(pets.list("a"), []);
    room.disk.clear();
    await pets.put("a", "new", pet(2_000_000));
    assert.equal(pets.get("a", "new")?.legs, 4);
  });

  for (const ending of ["was closed", "was killed"] as const) {
    onDisk(`a store that ${ending} opens, and everything can be deleted`, async (room) => {
      const count = await leave(room, ending);
      room.disk.fill();
      await using store = await room.open();
      const pets = store.table("pets", petCodec);
      assert.equal(pets.list("full").length, count);
      await assert.rejects(pets.put("a", "new", pet(1_000_000)), full);
      await store.transaction((tx) => {
        for (let index = 0; index < count; index++) tx.delete(pets, "full", String(index));
      });
      assert.deepEqual(
        pets.entries().map(({ id }) => id),
        ["kept"],
      );
    });
  }

  onDisk(
    "where there is no room for all that should be free, there is for what must be",
    ({ file, disk }) => {
      const fd = openSync(file, "a+");
      const database = new DatabaseSync(file);
      try {
        database.exec("PRAGMA journal_mode = WAL; CREATE TABLE pets (letters BLOB)");
        const reserve = new DatabaseReserve(file, fd, database);
        assert.equal(reserve.fill(), true);
        disk.fill();
        while (reserve.isEnough) database.exec("INSERT INTO pets VALUES (zeroblob(100000))");
        assert.equal(reserve.isLow, false);
        assert.equal(reserve.fill(), false);
        assert.equal(reserve.isEnough, false);
        truncateSync(
          path.join(disk.target, "ballast"),
          statSync(path.join(disk.target, "ballast")).size - 512 * 1024,
        );
        assert.equal(reserve.fill(), false);
        assert.equal(reserve.isEnough, true);
      } finally {
        database.close();
        closeSync(fd);
      }
      return Promise.resolve();
    },
  );

  onDisk("one that has no room takes nobody along", async (room) => {
    await using store = await room.open();
    const pets = store.table("pets", petCodec);
    await pets.put("a", "old", pet(10));
    room.disk.fill();
    await putUntilFull(pets, 50_000);
    const [big, gone, changed] = await Promise.allSettled([
      pets.put("a", "big", pet(1_500_000)),
      pets.delete("full", "0"),
      pets.put("a", "old", pet(20)),
    ]);
    assert.deepEqual(
      [big.status, gone.status, changed.status],
      ["rejected", "fulfilled", "fulfilled"],
    );
    assert.equal(pets.has("full", "0"), false);
  });
}

/** A store that another process has filled up; answers how many records are in it beside the kept one. */
async function leave(room: Room, ending: "was closed" | "was killed"): Promise<number> {
  const child = fork(import.meta.filename, { env: { [storeVariable]: room.file } });
  const said = async (): Promise<unknown> => (await once(child, "message"))[0];
  await said();
  room.disk.fill();
  child.send("go on");
  const count = Number(await said());
  if (ending === "was closed") child.send("close");
  else child.kill("SIGKILL");
  await once(child, "exit");
  return count;
}

async function fillFrom(file: string): Promise<void> {
  const store = await openMetadata({ path: file, log: silentLogger });
  const pets = store.table("pets", petCodec);
  await pets.put("a", "kept", pet(10));
  await pets.put("a", "kept", pet(11)); // now the space is reserved
  process.send?.("ready");
  await once(process, "message");
  process.send?.(await putUntilFull(pets, 50_000));
  await once(process, "message");
  await store[Symbol.asyncDispose]();
  process.disconnect?.();
}

/** Until nothing new is taken; answers how many were. */
async function putUntilFull(pets: RecordTable<Pet>, letters: number): Promise<number> {
  for (let count = 0; ; count++) {
    try {
      await pets.put("full", String(count), pet(letters));
    } catch (error) {
      assert.equal(isFault(error, "RESOURCE_EXHAUSTED"), true, String(error));
      return count;
    }
    assert.ok(count < 100_000);
  }
}
