// SPDX-License-Identifier: Apache-2.0
import type { MetadataStore, RecordCodec, RecordTable } from "../metadata/ports.ts";
import { StoredFields } from "../metadata/stored-fields.ts";
import type { SnapshotInfo, SnapshotKind, SnapshotUsage } from "./ports.ts";

/** A snapshot as it is stored: what callers see of it, its folder's number, and its measured size. */
export interface SnapshotRecord {
  readonly info: SnapshotInfo;
  /** Name of the folder; never used twice while the daemon runs. */
  readonly number: number;
  /** Known for committed snapshots, which no longer change. */
  readonly usage: SnapshotUsage | undefined;
}

interface StoredSnapshot {
  readonly name: string;
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly labels: Record<string, string>;
  readonly number: number;
  readonly usage?: { readonly size: string; readonly inodes: string };
}

/** A snapshotter's records, by namespace and key or name. */
export function snapshotsTable(
  metadata: MetadataStore,
  snapshotter: string,
): RecordTable<SnapshotRecord> {
  return metadata.table(`snapshots-${snapshotter}`, snapshotCodec);
}

const snapshotCodec: RecordCodec<SnapshotRecord> = {
  version: 1,
  encode: ({ info, number, usage }): StoredSnapshot => ({
    name: info.name,
    parent: info.parent,
    kind: info.kind,
    createdAt: String(info.createdAtNanos),
    updatedAt: String(info.updatedAtNanos),
    labels: { ...info.labels },
    number,
    ...(usage && { usage: { size: String(usage.sizeBytes), inodes: String(usage.inodes) } }),
  }),
  decode: (value) => {
    const stored = new StoredFields("snapshot", value);
    return {
      info: {
        name: stored.text("name"),
        parent: stored.text("parent"),
        kind: stored.oneOf("kind", ["VIEW", "ACTIVE", "COMMITTED"]),
        createdAtNanos: stored.decimal("createdAt"),
        updatedAtNanos: stored.decimal("updatedAt"),
        labels: stored.textMap("labels"),
      },
      number: stored.integer("number"),
      usage: stored.has("usage") ? usageOf(stored.fields("usage")) : undefined,
    };
  },
};

function usageOf(stored: StoredFields): SnapshotUsage {
  return { sizeBytes: stored.decimal("size"), inodes: stored.decimal("inodes") };
}
