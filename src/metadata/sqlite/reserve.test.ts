// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { SqliteRows } from "./sqlite-rows.ts";

test("the free pages are filled up once for many records, not once for each", async () => {
  await using home = await scratch({ prefix: "reserve" });
  const file = path.join(home.path, "meta.db");
  using rows = new SqliteRows(file);
  rows.settle();
  const filled = statSync(file).size;
  // 400 KiB, some twenty pods'.
  for (let index = 0; index < 50; index += 1) {
    const row = {
      table: "t",
      namespace: "n",
      id: String(index),
      version: 1,
      value: "x".repeat(8192),
    };
    rows.write([{ kind: "put", row }]);
    rows.settle();
  }
  assert.equal(statSync(file).size, filled);
});
