// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StoredRow } from "./mirrored-table.ts";
import { RowBudget } from "./row-budget.ts";

const kib = 1024;
const mib = 1024 * kib;
const row = (id: string, bytes: number): StoredRow => ({
  table: "containers",
  namespace: "k8s.io",
  id,
  version: 1,
  value: "x".repeat(bytes),
});

function stored(budget: RowBudget, one: StoredRow): void {
  budget.admit(one);
  budget.count(one);
}

test("a large row may grow by what an exit adds, and not again and again", () => {
  const budget = new RowBudget();
  stored(budget, row("a", 4 * mib));
  stored(budget, row("a", 4 * mib + 60 * kib));
  assert.throws(() => budget.admit(row("a", 4 * mib + 120 * kib)), { code: "RESOURCE_EXHAUSTED" });
  stored(budget, row("a", 4 * mib));
});

test("whoever stores the largest rows is refused while smaller ones are still taken", () => {
  const budget = new RowBudget();
  assert.throws(
    () => {
      for (let count = 0; count < 1000; count += 1) stored(budget, row(`hog-${count}`, 4 * mib));
    },
    {
      code: "RESOURCE_EXHAUSTED",
      message: /"hog-\d+": it takes 4194304 bytes, and may take \d+: large records/,
    },
  );
  for (let count = 0; count < 100; count += 1) stored(budget, row(`pod-${count}`, 128 * kib));
});

test("what is removed makes room", () => {
  const budget = new RowBudget();
  let count = 0;
  try {
    for (; count < 1000; count += 1) stored(budget, row(`${count}`, 4 * mib));
  } catch {}
  for (let at = 0; at < count; at += 1) budget.forget(row(`${at}`, 0));
  stored(budget, row("new", 4 * mib));
});
