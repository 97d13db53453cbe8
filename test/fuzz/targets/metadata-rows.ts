// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { silentLogger } from "../../../src/base/logger.ts";
import { contentTable } from "../../../src/content/blob-record.ts";
import { noRuntimeFeatures } from "../../../src/cri/oci-spec/runtime-features.ts";
import { containerRecordCodec } from "../../../src/cri/store/container-record.ts";
import { sandboxRecordCodec } from "../../../src/cri/store/sandbox-record.ts";
import { imagesTable } from "../../../src/images/image-records.ts";
import { Leases } from "../../../src/metadata/leases.ts";
import { MirroredStore } from "../../../src/metadata/mirrored-store.ts";
import type { RowChange, StoredRow } from "../../../src/metadata/mirrored-table.ts";
import type { MetadataStore, RecordTable } from "../../../src/metadata/ports.ts";
import { containersTable, namespacesTable } from "../../../src/metadata/records.ts";
import { codec } from "../../../src/rpc/codec.ts";
import { snapshotsTable } from "../../../src/snapshots/snapshot-record.ts";
import type { FuzzTarget } from "../target.ts";

const stamps = { createdAt: "1700000000000000000", updatedAt: "1700000000000000001" };
const digest = `sha256:${"a".repeat(64)}`;
const config = (name: "runtime.v1.ContainerConfig" | "runtime.v1.PodSandboxConfig"): string =>
  codec(name)
    .encode({ metadata: { name: "n" } })
    .toString("base64");

/** A row of each table, as it is stored. */
const rows: readonly { readonly table: string; readonly value: unknown }[] = [
  { table: "leases", value: { id: "l", createdAt: stamps.createdAt, labels: { a: "b" } } },
  { table: "lease-resources", value: { lease: "l", type: "content", id: digest } },
  { table: "namespaces", value: { name: "k8s.io", labels: { a: "b" } } },
  {
    table: "containers",
    value: codec("containerd.services.containers.v1.Container")
      .encode({ id: "c", labels: { a: "b" } })
      .toString("base64"),
  },
  {
    table: "images",
    value: {
      name: "i",
      target: { mediaType: "m", digest, size: 7, annotations: { a: "b" } },
      labels: { a: "b" },
      ...stamps,
    },
  },
  { table: "content", value: { digest, size: "7", labels: { a: "b" }, ...stamps } },
  {
    table: "snapshots-overlayfs",
    value: {
      name: "s",
      parent: "",
      kind: "COMMITTED",
      labels: { a: "b" },
      number: 3,
      usage: { size: "1", inodes: "2" },
      ...stamps,
    },
  },
  {
    table: "cri-sandboxes",
    value: {
      id: "s1",
      name: "n",
      config: config("runtime.v1.PodSandboxConfig"),
      runtimeHandler: "",
      createdAtNanos: "5",
      cgroupsPath: "/a",
      network: {
        kind: "up",
        netnsPath: "/n",
        ip: "10.0.0.2",
        additionalIps: ["fd00::2"],
        raw: { a: {} },
      },
      state: { kind: "ready", pid: 5 },
      handler: { name: "runc", config: {}, features: noRuntimeFeatures },
    },
  },
  {
    table: "cri-containers",
    value: {
      id: "c1",
      name: "n",
      sandboxId: "s1",
      config: config("runtime.v1.ContainerConfig"),
      createdAtNanos: "5",
      imageId: digest,
      imageName: "i",
      imageRef: "r",
      imageStopSignal: "",
      logPath: "/l",
      mounts: [{ containerPath: "/c" }],
      resources: null,
      user: { uid: 0, gid: 0, groups: [1] },
      cgroupsPath: "/a",
      state: {
        kind: "exited",
        startedAtNanos: "1",
        finishedAtNanos: "2",
        exitCode: 3,
        reason: "Error",
        message: "",
      },
    },
  },
];
const names = rows.map(({ table }) => table);

/**
 * Rows as a disk may give them back. One that can be used is what was stored, field by field; any other is set
 * aside, and the rest is there.
 */
export const target: FuzzTarget = {
  name: "metadata-rows",
  parses: [
    "src/metadata/mirrored-store.ts",
    "src/metadata/stored-fields.ts",
    "src/metadata/records.ts",
    "src/metadata/leases.ts",
    "src/cri/store/container-record.ts",
    "src/cri/store/sandbox-record.ts",
    "src/images/image-records.ts",
    "src/content/blob-record.ts",
    "src/snapshots/snapshot-record.ts",
  ],
  dictionary: [
    "null",
    "[]",
    "{}",
    '""',
    "-1",
    "1.5",
    '"kind":',
    '"running"',
    '"labels":',
    '"__proto__":',
    "true",
  ],
  seeds: () =>
    rows.map(({ value }, at) => Buffer.from(String.fromCharCode(at) + JSON.stringify(value))),
  run: async (input) => {
    const at = (input[0] ?? 0) % rows.length;
    const table = names[at] ?? "";
    const text = input.toString("utf8", 1);
    const written: RowChange[] = [];
    const writer = {
      write: async (changes: readonly RowChange[]) => void written.push(...changes),
      close: async () => {},
    };
    const row = (id: string, value: string): StoredRow => ({
      table,
      namespace: "ns",
      id,
      version: 1,
      value,
    });
    const good = JSON.stringify(rows[at]?.value);
    await using store = new MirroredStore(
      [row("before", good), row("odd", text), row("after", good)],
      writer,
      silentLogger,
    );
    const opened = open(store, table);
    assert.ok(opened.has("ns", "before") && opened.has("ns", "after"), "the others are there");
    await Promise.resolve();
    await Promise.resolve();
    const record = opened.get("ns", "odd");
    if (record === undefined) {
      assert.deepEqual(
        store.damaged.map(({ id }) => id),
        ["odd"],
      );
      assert.deepEqual(
        written.map(({ kind }) => kind),
        ["set-aside"],
      );
      assert.ok((store.damaged[0]?.reason ?? "").length < 4096);
      assert.notEqual(text, good);
      return;
    }
    assert.equal(store.damaged.length, 0);
    const stored: unknown = JSON.parse(text);
    assertAlike(stored, rows[at]?.value, table);
    if (text === good) await checkAgain(opened, record, written, good);
  },
};

/** It is written as it was read. */
async function checkAgain(
  table: RecordTable<unknown>,
  record: unknown,
  written: readonly RowChange[],
  good: string,
): Promise<void> {
  await table.put("ns", "odd", record);
  const [change] = written;
  assert.ok(change?.kind === "put");
  assert.deepEqual(JSON.parse(change.row.value), JSON.parse(good));
}

function open(store: MetadataStore, table: string): RecordTable<unknown> {
  const tables: Readonly<Record<string, () => RecordTable<unknown>>> = {
    namespaces: () => namespacesTable(store),
    containers: () => containersTable(store),
    images: () => imagesTable(store),
    content: () => contentTable(store),
    "snapshots-overlayfs": () => snapshotsTable(store, "overlayfs"),
    "cri-sandboxes": () => store.table("cri-sandboxes", sandboxRecordCodec),
    "cri-containers": () => store.table("cri-containers", containerRecordCodec),
  };
  const known = tables[table];
  return known === undefined ? leasesIn(store, table) : known();
}

/** Its tables are its own. */
function leasesIn(store: MetadataStore, wanted: string): RecordTable<unknown> {
  let found: RecordTable<unknown> | undefined;
  const spying: Pick<MetadataStore, "table"> = {
    table: (name, rowCodec) => {
      const table = store.table(name, rowCodec);
      if (name === wanted) found = table;
      return table;
    },
  };
  assert.ok(new Leases(spying as MetadataStore));
  assert.ok(found);
  return found;
}

/** Fields of tagged unions, by what else they may hold; fields that may be left out. */
const optional = new Set(["usage", "handler", "resources", "checkpoint"]);

/** The same kinds of values in the same places. */
function assertAlike(value: unknown, sample: unknown, where: string): void {
  if (typeof sample === "string") return assert.equal(typeof value, "string", where);
  if (typeof sample === "number")
    return assert.ok(Number.isSafeInteger(value) && (value as number) >= 0, where);
  if (sample === null)
    return assert.ok(value === null || value === undefined || typeof value === "string", where);
  assert.ok(typeof value === "object" && value !== null, where);
  assert.equal(Array.isArray(value), Array.isArray(sample), where);
  if (Array.isArray(sample)) {
    for (const [at, one] of (value as unknown[]).entries())
      assertAlike(one, sample[0], `${where}[${at}]`);
    return;
  }
  const fields = value as Record<string, unknown>;
  if (/labels|annotations/.test(where)) {
    for (const [key, text] of Object.entries(fields))
      assert.equal(typeof text, "string", `${where}.${key}`);
    return;
  }
  if (/config$|features$|raw$|mounts/.test(where)) return;
  const isOtherKind =
    Object.hasOwn(fields, "kind") && fields["kind"] !== (sample as Record<string, unknown>)["kind"];
  if (isOtherKind) return assert.equal(typeof fields["kind"], "string", where);
  for (const [key, part] of Object.entries(sample as object)) {
    if (fields[key] === undefined && optional.has(key)) continue;
    assertAlike(fields[key], part, `${where}.${key}`);
  }
}
