// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { nowNanos } from "../base/now.ts";
import type { ContentStore, Digest, IngestStatus } from "../content/ports.ts";

export interface StaleIngests {
  readonly content: ContentStore;
  readonly namespace: string;
  readonly log: Logger;
}

const keptNanos = 24n * 3600n * 1_000_000_000n;
/** As downloads call them (registry/download.ts). One with a suffix is of a pull that did not wait for another. */
const download = /^layer-(?<digest>sha256:[0-9a-f]{64})(?<suffix>-.+)?$/;

/**
 * Drops unfinished writes that nobody will go on with. Call it at start, before anything is pulled:
 *
 * - imports and documents, and downloads with a suffix, whose refs are never used again;
 * - downloads of a blob that is there;
 * - downloads without a byte, which a kill leaves that comes before the first MiB or after the last: to begin
 *   anew costs a pull nothing;
 * - downloads that have waited for a day. Younger ones are what a kubelet that tries again goes on with, which for
 *   a large image may be hours of a slow line.
 */
export async function dropStaleIngests({ content, namespace, log }: StaleIngests): Promise<void> {
  for (const ingest of await content.ingests(namespace)) {
    const { ref } = ingest;
    if (!isStale(ingest, (digest) => content.info(namespace, digest) !== undefined)) continue;
    await content.abort(namespace, ref).catch((error: unknown) => {
      if (isFault(error, "NOT_FOUND", "UNAVAILABLE")) return;
      log.warn({ ref, err: error }, "unfinished write left behind");
    });
  }
}

function isStale(
  { ref, offsetBytes, updatedAtNanos }: IngestStatus,
  isThere: (digest: Digest) => boolean,
): boolean {
  if (ref.startsWith("import-") || ref.startsWith("document-")) return true;
  if (!ref.startsWith("layer-")) return false;
  if (offsetBytes === 0n || nowNanos() - updatedAtNanos > keptNanos) return true;
  const { digest, suffix } = download.exec(ref)?.groups ?? {};
  return digest !== undefined && (suffix !== undefined || isThere(digest as Digest));
}
