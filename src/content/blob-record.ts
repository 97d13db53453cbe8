// SPDX-License-Identifier: Apache-2.0
import type { RecordCodec } from "../metadata/ports.ts";
import type { ContentInfo, Digest } from "./ports.ts";

interface StoredBlob {
  readonly digest: string;
  readonly size: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly labels: Record<string, string>;
}

/** How a namespace's claim on a blob is stored: table `content`, found by digest. */
export const blobCodec: RecordCodec<ContentInfo> = {
  version: 1,
  encode: (info): StoredBlob => ({
    digest: info.digest,
    size: String(info.sizeBytes),
    createdAt: String(info.createdAtNanos),
    updatedAt: String(info.updatedAtNanos),
    labels: { ...info.labels },
  }),
  decode: (value) => {
    const stored = value as StoredBlob;
    return {
      digest: stored.digest as Digest,
      sizeBytes: BigInt(stored.size),
      createdAtNanos: BigInt(stored.createdAt),
      updatedAtNanos: BigInt(stored.updatedAt),
      labels: stored.labels,
    };
  },
};
