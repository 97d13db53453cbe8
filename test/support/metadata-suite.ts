// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MetadataStore, RecordCodec } from "../../src/metadata/ports.ts";

export interface Pet {
  readonly name: string;
  readonly legs: number;
}

export const petCodec: RecordCodec<Pet> = {
  version: 2,
  encode: (pet) => ({ n: pet.name, l: pet.legs }),
  decode: (value, version) => {
    const { n, l } = value as { n: string; l: number };
    if (typeof n !== "string") throw new Error("pet has no name");
    return { name: n, legs: version < 2 ? l * 2 : l };
  },
};

/** What every MetadataStore promises. `make` gives an empty one. */
export function metadataSuite(name: string, make: () => Promise<MetadataStore>): void {
  const cat: Pet = { name: "cat", legs: 4 };
  const hen: Pet = { name: "hen", legs: 2 };

  test(`${name}: reads what was put, by namespace, in the order it came`, async () => {
    await using store = await make();
    const pets = store.table("pets", petCodec);
    await pets.put("a", "1", cat);
    await pets.put("b", "1", hen);
    await pets.put("a", "2", hen);
    await pets.put("a", "1", { ...cat, legs: 3 });
    assert.deepEqual(pets.get("a", "1"), { name: "cat", legs: 3 });
    assert.equal(pets.get("c", "1"), undefined);
    assert.equal(pets.has("b", "1"), true);
    assert.equal(pets.has("b", "2"), false);
    assert.deepEqual(
      pets.list("a").map((pet) => pet.name),
      ["cat", "hen"],
    );
    assert.deepEqual(
      pets.entries().map(({ namespace, id }) => `${namespace}/${id}`),
      ["a/1", "a/2", "b/1"],
    );
  });

  test(`${name}: shows a record only once it is durable`, async () => {
    await using store = await make();
    const pets = store.table("pets", petCodec);
    const put = pets.put("a", "1", cat);
    assert.equal(pets.get("a", "1"), undefined);
    await put;
    assert.equal(pets.get("a", "1"), cat);
    const gone = pets.delete("a", "1");
    assert.equal(pets.get("a", "1"), cat);
    await gone;
    assert.equal(pets.get("a", "1"), undefined);
    assert.deepEqual(pets.list("a"), []);
  });

  test(`${name}: deletes what is absent without error`, async () => {
    await using store = await make();
    await store.table("pets", petCodec).delete("a", "nothing");
  });

  test(`${name}: makes a transaction's changes visible together`, async () => {
    await using store = await make();
    const pets = store.table("pets", petCodec);
    const more = store.table("more-pets", petCodec);
    await pets.put("a", "old", hen);
    await store.transaction((tx) => {
      tx.put(pets, "a", "1", cat);
      tx.put(more, "a", "1", hen);
      tx.delete(pets, "a", "old");
    });
    assert.deepEqual([pets.list("a"), more.list("a")], [[cat], [hen]]);
  });

  test(`${name}: leaves everything when a transaction's change throws`, async () => {
    await using store = await make();
    const pets = store.table("pets", petCodec);
    const broken = store.transaction((tx) => {
      tx.put(pets, "a", "1", cat);
      throw new Error("changed my mind");
    });
    await assert.rejects(broken, /changed my mind/);
    await pets.put("a", "2", hen);
    assert.deepEqual(pets.list("a"), [hen]);
  });

  test(`${name}: keeps the last of many writes to one key`, async () => {
    await using store = await make();
    const pets = store.table("pets", petCodec);
    await Promise.all(
      Array.from({ length: 200 }, (_, legs) => pets.put("a", "1", { name: "n", legs })),
    );
    assert.equal(pets.get("a", "1")?.legs, 199);
  });

  test(`${name}: gives the same table again, and refuses another codec`, async () => {
    await using store = await make();
    const pets = store.table("pets", petCodec);
    assert.equal(store.table("pets", petCodec), pets);
    assert.throws(() => store.table("pets", { ...petCodec }), { code: "FAILED_PRECONDITION" });
  });

  test(`${name}: refuses writes once closed`, async () => {
    const store = await make();
    const pets = store.table("pets", petCodec);
    const put = pets.put("a", "1", cat);
    await store[Symbol.asyncDispose]();
    await put;
    await assert.rejects(pets.put("a", "2", cat), { code: "UNAVAILABLE" });
    await store[Symbol.asyncDispose]();
  });
}
