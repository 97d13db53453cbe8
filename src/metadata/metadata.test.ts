// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import type { Worker } from "node:worker_threads";
import { metadataSuite, petCodec } from "../../test/support/metadata-suite.ts";
import { silentLogger } from "../base/logger.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { openMemoryMetadata } from "./mirrored-store.ts";
import type { MetadataStore } from "./ports.ts";
import { containersTable, namespacesTable } from "./records.ts";
import { FileGuard } from "./sqlite/file-guard.ts";
import { databaseRefusal } from "./sqlite/file-header.ts";
import { openMetadata } from "./sqlite/open-metadata.ts";
import { migrate, schemaVersion, wayOut } from "./sqlite/schema.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth meta-"));
after(() => removeFolderSync(folder));
let count = 0;

function newFile(): string {
  count += 1;
  return path.join(folder, `${count}`, "meta.db");
}

function open(file: string): Promise<MetadataStore> {
  return openMetadata({ path: file, log: silentLogger });
}

function edit(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

metadataSuite("memory metadata", async () => openMemoryMetadata(silentLogger));
metadataSuite("sqlite metadata", () => open(newFile()));

test("sqlite metadata keeps records, their order and their versions", async () => {
  const file = newFile();
  {
    await using store = await open(file);
    const pets = store.table("pets", petCodec);
    await pets.put("a", "z", { name: "first", legs: 1 });
    await pets.put("a", "b", { name: "second", legs: 2 });
    await pets.put("a", "z", { name: "first again", legs: 3 });
  }
  edit(file, "UPDATE records SET version = 1 WHERE id = 'b'");
  await using store = await open(file);
  assert.deepEqual(store.table("pets", petCodec).list("a"), [
    { name: "first again", legs: 3 },
    { name: "second", legs: 4 },
  ]);
});

test("sqlite metadata sets damaged rows aside and reports them", async () => {
  const file = newFile();
  {
    await using store = await open(file);
    const pets = store.table("pets", petCodec);
    for (const id of ["good", "torn", "odd"]) await pets.put("a", id, { name: id, legs: 4 });
  }
  edit(file, `UPDATE records SET value = '{"n":"to' WHERE id = 'torn'`);
  edit(file, `UPDATE records SET value = '{}' WHERE id = 'odd'`);
  {
    await using store = await open(file);
    const pets = store.table("pets", petCodec);
    assert.deepEqual(pets.list("a"), [{ name: "good", legs: 4 }]);
    assert.deepEqual(
      store.damaged.map(({ table, namespace, id }) => [table, namespace, id]),
      [
        ["pets", "a", "torn"],
        ["pets", "a", "odd"],
      ],
    );
    assert.equal(store.damaged[1]?.reason, "pet has no name");
  }
  await using store = await open(file);
  store.table("pets", petCodec);
  assert.deepEqual(store.damaged, []);
  await store[Symbol.asyncDispose]();
  const database = new DatabaseSync(file);
  assert.deepEqual({ ...database.prepare("SELECT count(*) AS n FROM damaged").get() }, { n: 2 });
  database.close();
});

test("sqlite metadata refuses a file that another daemon holds", async () => {
  const file = newFile();
  await using _first = await open(file);
  await assert.rejects(open(file), {
    code: "FAILED_PRECONDITION",
    message: /meta\.db": it is locked by another process/,
  });
});

test("sqlite metadata refuses a file that a newer daemon wrote", async () => {
  const file = newFile();
  await (await open(file))[Symbol.asyncDispose]();
  edit(file, `PRAGMA user_version = ${schemaVersion + 1}`);
  const message =
    /meta\.db": it has schema version \d+, and berthd \d+\.\d+\.\d+ knows up to \d+; start the newer version/;
  await assert.rejects(open(file), { code: "FAILED_PRECONDITION", message });
  assert.match((await databaseRefusal(file, [])) ?? "", message);
});

test("a database's refusal is known while a daemon has it open, and none is there without cause", async () => {
  const file = newFile();
  assert.equal(await databaseRefusal(file, []), undefined);
  await using store = await open(file);
  await store.table("pets", petCodec).put("a", "z", { name: "open", legs: 4 });
  assert.equal(await databaseRefusal(file, []), undefined);
  assert.equal(readFileSync(file).readUInt32BE(60), schemaVersion);
});

test("a database that was cut in half is told, by a check and by a start, and is left as it is", async () => {
  const file = newFile();
  {
    await using store = await open(file);
    const pets = store.table("pets", petCodec);
    for (let legs = 0; legs < 50; legs++) {
      await pets.put("a", `${legs}`, { name: "x".repeat(4000), legs });
    }
  }
  edit(file, "PRAGMA wal_checkpoint(TRUNCATE)");
  const half = Math.floor(statSync(file).size / 2);
  truncateSync(file, half);
  const before = readFileSync(file);
  const refusal = new RegExp(
    `cut off: it has ${half} bytes of \\d+; put back a copy of it, with the files`,
  );
  assert.match((await databaseRefusal(file, [])) ?? "", refusal);
  await assert.rejects(open(file), { code: "DATA_LOSS", message: refusal });
  assert.deepEqual(readFileSync(file), before);
});

test("a database whose checkpoint was cut off is as good as before: its log has the rest", async () => {
  const file = newFile();
  const log = `${file}.log`;
  {
    await using store = await open(file);
    await store.table("pets", petCodec).put("a", "z", { name: "there", legs: 4 });
  }
  edit(file, "PRAGMA wal_checkpoint(TRUNCATE)");
  const { size } = statSync(file);
  {
    using database = new DatabaseSync(file);
    database.exec("PRAGMA wal_autocheckpoint = 0; CREATE TABLE more (bytes)");
    database.exec("INSERT INTO more VALUES (zeroblob(16 << 20))");
    copyFileSync(`${file}-wal`, log);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  assert.ok(size < statSync(file).size);
  // Page after page is copied, and the last ones were not.
  truncateSync(file, size);
  copyFileSync(log, `${file}-wal`);
  assert.equal(await databaseRefusal(file, []), undefined);
  await using store = await open(file);
  assert.deepEqual(store.table("pets", petCodec).list("a"), [{ name: "there", legs: 4 }]);
});

for (const [what, leave] of [
  ["is gone", (file: string) => rmSync(file)],
  ["is empty", (file: string) => truncateSync(file, 0)],
] as const) {
  test(`no new database is begun where one ${what} whose layers and blobs are there`, async () => {
    const file = newFile();
    const blobs = path.join(path.dirname(file), "blobs");
    const told = [path.join(path.dirname(file), "none"), blobs];
    const openTold = () => openMetadata({ path: file, told, log: silentLogger });
    {
      mkdirSync(path.join(blobs, "sha256"), { recursive: true });
      await using store = await openTold();
      await store.table("pets", petCodec).put("a", "z", { name: "there", legs: 4 });
    }
    leave(file);
    assert.equal(await databaseRefusal(file, told), undefined);
    writeFileSync(path.join(blobs, "sha256", "one"), "");
    const refusal = `cannot open "${file}": it ${what}, while "${blobs}" still holds what it told of; ${wayOut}`;
    assert.equal(await databaseRefusal(file, told), refusal);
    await assert.rejects(openTold(), { code: "DATA_LOSS", message: refusal });
    removeFolderSync(blobs);
    await using store = await openTold();
    assert.deepEqual(store.table("pets", petCodec).list("a"), []);
  });
}

/** What somebody does to the files of a database that is open. */
const harms: readonly (readonly [harm: string, act: (file: string) => void])[] = [
  ["it was removed", (file) => rmSync(file)],
  ["it was replaced", (file) => replace(file)],
  [String.raw`it was cut off \(4096 bytes of \d+\)`, (file) => truncateSync(file, 4096)],
  ["its log was removed", (file) => rmSync(`${file}-wal`)],
  ["its log was replaced", (file) => replace(`${file}-wal`)],
  [String.raw`its log was cut off \(0 bytes of \d+\)`, (file) => truncateSync(`${file}-wal`, 0)],
];
for (const [harm, act] of harms) {
  test(`no record goes into a database of which ${harm}`, async () => {
    const file = newFile();
    await using store = await open(file);
    const pets = store.table("pets", petCodec);
    await pets.put("a", "z", { name: "there", legs: 4 });
    act(file);
    await assert.rejects(pets.put("a", "y", { name: "new", legs: 4 }), {
      code: "DATA_LOSS",
      message: new RegExp(
        `^cannot write ".*meta\\.db": ${harm} while it was open; put back a copy`,
      ),
    });
    assert.deepEqual(pets.list("a"), [{ name: "there", legs: 4 }]);
    assert.match(
      store.harm ?? "",
      new RegExp(`^cannot write ".*meta\\.db": ${harm} while it was open`),
    );
  });
}

test("a database that was moved away takes records again once it is back", async () => {
  const file = newFile();
  await using store = await open(file);
  const pets = store.table("pets", petCodec);
  await pets.put("a", "z", { name: "there", legs: 4 });
  renameSync(file, `${file}.away`);
  await assert.rejects(pets.put("a", "y", { name: "new", legs: 4 }), { code: "DATA_LOSS" });
  renameSync(`${file}.away`, file);
  await pets.put("a", "y", { name: "new", legs: 4 });
  assert.equal(store.harm, undefined);
});

function replace(file: string): void {
  copyFileSync(file, `${file}.other`);
  renameSync(`${file}.other`, file);
}

test("the log of a database that was moved away goes into it, and not into the copy that is put in its place", async () => {
  const file = newFile();
  const petsOf = (store: MetadataStore) => store.table("pets", petCodec);
  const early = await open(file);
  await petsOf(early).put("a", "early", { name: "early", legs: 4 });
  await early[Symbol.asyncDispose]();
  copyFileSync(file, `${file}.copy`);
  const late = await open(file);
  await petsOf(late).put("a", "late", { name: "late", legs: 4 });
  renameSync(file, `${file}.away`);
  renameSync(`${file}.copy`, file);
  await late[Symbol.asyncDispose]();
  for (const names of [["early"], ["early", "late"]]) {
    await using store = await open(file);
    assert.deepEqual(
      petsOf(store)
        .list("a")
        .map(({ name }) => name),
      names,
    );
    if (names.length === 1) {
      await store[Symbol.asyncDispose]();
      renameSync(`${file}.away`, file);
    }
  }
});

test("what is done to a file while a record is written is told with the next one", () => {
  const file = newFile();
  mkdirSync(path.dirname(file));
  writeFileSync(file, "database");
  writeFileSync(`${file}-wal`, "log");
  const fd = openSync(file, "r");
  const guard = new FileGuard(file, fd);
  guard.check();
  rmSync(file);
  guard.remember();
  assert.throws(() => guard.check(), { code: "DATA_LOSS", message: /: it was removed while/ });
  closeSync(fd);
});

test("an older schema is brought to the present one, with its rows, or stays as it was", () => {
  const file = newFile();
  mkdirSync(path.dirname(file));
  using database = new DatabaseSync(file);
  const first = "CREATE TABLE pets (name TEXT) STRICT";
  const schema = (): unknown => database.prepare("PRAGMA user_version").get()?.["user_version"];
  migrate(database, file, [first]);
  database.exec("INSERT INTO pets VALUES ('old')");
  const broken = "ALTER TABLE pets ADD COLUMN legs INTEGER; SELECT pets FROM nowhere";
  assert.throws(() => migrate(database, file, [first, broken]), /nowhere/);
  assert.equal(schema(), 1);
  migrate(database, file, [first, "", "ALTER TABLE pets ADD COLUMN legs INTEGER DEFAULT 4"]);
  assert.equal(schema(), 3);
  assert.deepEqual({ ...database.prepare("SELECT * FROM pets").get() }, { name: "old", legs: 4 });
});

test("sqlite metadata says when the file is no database", async () => {
  const file = path.join(folder, "noise.db");
  writeFileSync(file, "x".repeat(5000));
  await assert.rejects(open(file), { code: "DATA_LOSS" });
});

test("sqlite metadata tells of the loss of its thread, and takes nothing any more", async () => {
  const started = once(process, "worker") as Promise<[Worker]>;
  const { promise: lost, resolve: onLost } = Promise.withResolvers<Error>();
  const store = await openMetadata({ path: newFile(), log: silentLogger, onLost });
  const pets = store.table("pets", petCodec);
  const [worker] = await started;
  await worker.terminate();
  assert.match((await lost).message, /^metadata store has stopped$/);
  await assert.rejects(pets.put("a", "1", { name: "late", legs: 4 }), { code: "UNAVAILABLE" });
  await store[Symbol.asyncDispose]();
});

test("sqlite metadata keeps its files to itself, also those that had other modes", async () => {
  const file = newFile();
  const modes = (): string[] =>
    [file, `${file}-wal`].map((name) => (statSync(name).mode & 0o777).toString(8));
  {
    await using _store = await open(file);
    assert.deepEqual(modes(), ["600", "600"]);
  }
  chmodSync(file, 0o644);
  await using _store = await open(file);
  assert.deepEqual(modes(), ["600", "600"]);
});

test("sqlite metadata refuses a log that is no file, and says which", async () => {
  const file = newFile();
  mkdirSync(`${file}-wal`, { recursive: true });
  await assert.rejects(open(file), {
    code: "FAILED_PRECONDITION",
    message: /meta\.db-wal": it is no regular file/,
  });
});

test("sqlite metadata refuses what is no file", async () => {
  const file = newFile();
  mkdirSync(file, { recursive: true });
  await assert.rejects(open(file), { code: "FAILED_PRECONDITION", message: /EISDIR/ });
});

test("container and namespace records survive a restart", async () => {
  const file = newFile();
  {
    await using store = await open(file);
    await containersTable(store).put("k8s.io", "c", {
      id: "c",
      labels: { a: "b" },
      image: "img",
      runtime: { name: "io.containerd.runc.v2", options: null },
      spec: { type_url: "t", value: Buffer.from([0, 255]) },
      snapshotter: "overlayfs",
      snapshotKey: "k",
      createdAt: { seconds: 12345678901n, nanos: 5 },
      updatedAt: null,
      extensions: { e: { type_url: "u", value: Buffer.from("x") } },
      sandbox: "s",
    });
    await namespacesTable(store).put("", "k8s.io", { name: "k8s.io", labels: { x: "y" } });
  }
  await using store = await open(file);
  const record = containersTable(store).get("k8s.io", "c");
  assert.equal(record?.createdAt?.seconds, 12345678901n);
  assert.deepEqual([...(record?.spec?.value ?? [])], [0, 255]);
  assert.equal(record?.extensions["e"]?.value.toString(), "x");
  assert.deepEqual(namespacesTable(store).list(""), [{ name: "k8s.io", labels: { x: "y" } }]);
});
