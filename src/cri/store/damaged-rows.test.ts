// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/logger.ts";
import { contentTable } from "../../content/blob-record.ts";
import { imagesTable } from "../../images/image-records.ts";
import { Leases } from "../../metadata/leases.ts";
import { MirroredStore } from "../../metadata/mirrored-store.ts";
import type { MetadataStore } from "../../metadata/ports.ts";
import { namespacesTable } from "../../metadata/records.ts";
import { snapshotsTable } from "../../snapshots/snapshot-record.ts";
import { containerRecordCodec } from "./container-record.ts";
import { sandboxRecordCodec } from "./sandbox-record.ts";

// Rows that are JSON, and not what was stored.
const rows: readonly (readonly [string, unknown, (store: MetadataStore) => unknown])[] = [
  ["leases", { id: "l", createdAt: "1", labels: null }, (store) => new Leases(store)],
  ["lease-resources", { lease: "l", type: 5, id: "x" }, (store) => new Leases(store)],
  ["namespaces", { name: "n", labels: null }, namespacesTable],
  ["images", { name: "i", target: {}, labels: {}, createdAt: "1", updatedAt: "1" }, imagesTable],
  [
    "content",
    { digest: "d", size: "1", createdAt: "1", updatedAt: "1", labels: { a: 1 } },
    contentTable,
  ],
  ["snapshots-overlayfs", { name: "s", number: 1 }, (store) => snapshotsTable(store, "overlayfs")],
  [
    "cri-sandboxes",
    { id: "s", createdAtNanos: "1", config: "" },
    (store) => store.table("cri-sandboxes", sandboxRecordCodec),
  ],
  [
    "cri-containers",
    { id: "c", createdAtNanos: "1", config: "", resources: null, state: {} },
    (store) => store.table("cri-containers", containerRecordCodec),
  ],
];
for (const [table, value, open] of rows) {
  test(`a row of ${table} that is not what was stored is set aside`, async () => {
    const row = { table, namespace: "ns", id: "odd", version: 1, value: JSON.stringify(value) };
    const writer = { write: async () => {}, close: async () => {} };
    await using store = new MirroredStore([row], writer, silentLogger);
    open(store);
    assert.deepEqual(
      store.damaged.map(({ id }) => id),
      ["odd"],
    );
    assert.match(store.damaged[0]?.reason ?? "", /record is damaged: /);
  });
}
