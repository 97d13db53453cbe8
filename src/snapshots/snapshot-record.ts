// SPDX-License-Identifier: Apache-2.0
import type { MetadataStore, RecordCodec, RecordTable } from "../metadata/ports.ts";
import type { SnapshotInfo, SnapshotKind, SnapshotUsage } from "./ports.ts";

/** A snapshot as it is stored: its face to callers, its folder's number, and its measured size. */
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
    const stored = value as StoredSnapshot;
    if (!Number.isSafeInteger(stored.number)) throw new TypeError("snapshot without a folder");
    return {
      info: {
        name: stored.name,
        parent: stored.parent,
        kind: stored.kind,
        createdAtNanos: BigInt(stored.createdAt),
        updatedAtNanos: BigInt(stored.updatedAt),
        labels: stored.labels,
      },
      number: stored.number,
      usage: stored.usage && {
        sizeBytes: BigInt(stored.usage.size),
        inodes: BigInt(stored.usage.inodes),
      },
    };
  },
};
