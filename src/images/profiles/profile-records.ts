// SPDX-License-Identifier: Apache-2.0
import type { Digest } from "../../content/ports.ts";
import type { MetadataStore, RecordCodec, RecordTable } from "../../metadata/ports.ts";
import { StoredFields } from "../../metadata/stored-fields.ts";
import type { PulledProfile } from "./ports.ts";

const codec: RecordCodec<PulledProfile> = {
  version: 1,
  encode: ({ digest, blob, sizeBytes, refs }) => ({ digest, blob, sizeBytes, refs }),
  decode: (value) => {
    const stored = new StoredFields("security profile", value);
    return {
      digest: stored.text("digest") as Digest,
      blob: stored.text("blob") as Digest,
      sizeBytes: stored.integer("sizeBytes"),
      refs: stored.textList("refs"),
    };
  },
};

/** Profiles, by namespace and their manifest's digest. */
export function profilesTable(store: MetadataStore): RecordTable<PulledProfile> {
  return store.table("security-profiles", codec);
}
