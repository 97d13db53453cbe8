// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryRows } from "../../../test/support/cri/memory-rows.ts";
import { Steps } from "../../../test/support/cri/steps.ts";
import { silentLogger } from "../../base/logger.ts";
import { MirroredStore } from "../../metadata/mirrored-store.ts";
import { RecordStore } from "./record-store.ts";

interface Thing {
  readonly id: string;
  readonly name: string;
  readonly count: number;
}

const steps = new Steps();
const codec = {
  version: 1,
  encode: (record: Thing) => record,
  decode: (row: unknown) => row as Thing,
};

function makeStore(): RecordStore<Thing> {
  const metadata = new MirroredStore([], new MemoryRows(steps), silentLogger);
  return new RecordStore(metadata.table("things", codec), { namespace: "k8s.io", noun: "thing" });
}

describe("RecordStore", () => {
  it("shows a record only once it is durable", async () => {
    const store = makeStore();
    const disk = Promise.withResolvers<void>();
    steps.held.set("put things", disk.promise);
    const put = store.put({ id: "aa1", name: "one", count: 0 });
    assert.equal(store.get("aa1"), undefined);
    disk.resolve();
    await put;
    assert.equal(store.get("aa1")?.name, "one");
    assert.equal(store.byName("one")?.id, "aa1");
    steps.held.clear();
  });

  it("finds by id and by a prefix that fits one", async () => {
    const store = makeStore();
    await store.put({ id: "aa1", name: "one", count: 0 });
    await store.put({ id: "aa2", name: "two", count: 0 });
    await store.put({ id: "aa", name: "short", count: 0 });
    assert.equal(store.find("aa")?.name, "short", "a full id wins over prefixes");
    assert.equal(store.find("aa1")?.name, "one");
    assert.equal(store.find("b"), undefined);
    assert.throws(() => store.find("a"), {
      code: "INVALID_ARGUMENT",
      message: 'thing id "a" is ambiguous: 3 ids begin with it',
    });
    assert.throws(() => store.find(""), { code: "INVALID_ARGUMENT" });
    assert.throws(() => store.require("b"), { code: "NOT_FOUND", message: 'thing "b" not found' });
  });

  it("applies changes of one record one after another", async () => {
    const store = makeStore();
    await store.put({ id: "aa1", name: "one", count: 0 });
    const increment = (record: Thing): Thing => ({ ...record, count: record.count + 1 });
    await Promise.all(Array.from({ length: 20 }, () => store.update("aa1", increment)));
    assert.equal(store.get("aa1")?.count, 20);
    assert.equal(store.stored()[0]?.count, 20);
  });

  it("keeps the order of making over updates", async () => {
    const store = makeStore();
    await store.put({ id: "b", name: "first", count: 0 });
    await store.put({ id: "a", name: "second", count: 0 });
    await store.update("b", (record) => ({ ...record, count: 1 }));
    assert.deepEqual(
      [...store.list()].map(({ name }) => name),
      ["first", "second"],
    );
  });

  it("frees the name on delete, and bears what is absent", async () => {
    const store = makeStore();
    await store.put({ id: "aa1", name: "one", count: 0 });
    await store.delete("aa1");
    await store.delete("aa1");
    assert.equal(store.byName("one"), undefined);
    assert.equal(await store.update("aa1", (record) => record), undefined);
  });
});
