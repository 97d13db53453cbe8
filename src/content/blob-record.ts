// SPDX-License-Identifier: Apache-2.0
import type { MetadataStore, RecordCodec, RecordTable } from "../metadata/ports.ts";
import { StoredFields } from "../metadata/stored-fields.ts";
import type { ContentInfo, Digest } from "./ports.ts";

interface StoredBlob {
  readonly digest: string;
  readonly size: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly labels: Record<string, string>;
}

/** What namespaces claim of the blobs, by namespace and digest. */
export function contentTable(metadata: MetadataStore): RecordTable<ContentInfo> {
  return metadata.table("content", blobCodec);
}

const blobCodec: RecordCodec<ContentInfo> = {
  version: 1,
  encode: (info): StoredBlob => ({
    digest: info.digest,
    size: String(info.sizeBytes),
    createdAt: String(info.createdAtNanos),
    updatedAt: String(info.updatedAtNanos),
    labels: { ...info.labels },
  }),
  decode: (value) => {
    const stored = new StoredFields("content", value);
    return {
      digest: stored.text("digest") as Digest,
      sizeBytes: stored.decimal("size"),
      createdAtNanos: stored.decimal("createdAt"),
      updatedAtNanos: stored.decimal("updatedAt"),
      labels: stored.textMap("labels"),
    };
  },
};
