// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { nanosPerSecond } from "../base/nanos.ts";
import { nowNanos } from "../base/now.ts";
import type { ContentStore, Digest, IngestStatus } from "../content/ports.ts";

export interface StaleIngests {
  readonly content: ContentStore;
  readonly namespace: string;
  readonly log: Logger;
}

const hourNanos = 3600n * nanosPerSecond;
/** A kubelet tries again every five minutes at the least. */
const idleNanos = hourNanos;
/** Names of downloads (registry/download.ts). One with a suffix belonged to a pull that did not wait for another. */
const download =
  /^layer-(?<digest>sha\d{3}:(?:[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}))(?<suffix>-.+)?$/;

/**
 * Drops unfinished writes that nobody will resume. Call it at start, before anything is pulled:
 *
 * - imports and documents, and downloads with a suffix, whose refs are never used again;
 * - downloads of a blob that is there;
 * - downloads without a byte, as after a kill before the first MiB or after the last: they save a pull nothing;
 * - downloads that have waited for a day. A kubelet that tries again resumes younger ones, also after a night without
 *   power; for a large image they may be hours of a slow line.
 *
 * Never rejects: what cannot be listed or removed is left to the next start.
 */
export async function dropStaleIngests(parts: StaleIngests): Promise<void> {
  const { content, namespace } = parts;
  await dropThose(parts, (ingest) =>
    isStale(ingest, (digest) => content.info(namespace, digest) !== undefined),
  );
}

/** Drops downloads that have waited for an hour. Call it when space is wanted. Never rejects. */
export async function dropIdleDownloads(parts: StaleIngests): Promise<void> {
  await dropThose(parts, (ingest) => isDownload(ingest) && idleFor(ingest) > idleNanos);
}

async function dropThose(
  { content, namespace, log }: StaleIngests,
  isDoomed: (ingest: IngestStatus) => boolean,
): Promise<void> {
  const found = await content.ingests(namespace).catch((err: unknown) => {
    log.warn({ err }, "unfinished writes cannot be listed");
    return [];
  });
  for (const ingest of found.filter(isDoomed)) {
    const { ref } = ingest;
    await content.abort(namespace, ref).catch((error: unknown) => {
      if (isFault(error, "NOT_FOUND", "UNAVAILABLE")) return; // gone, or being written
      log.warn({ ref, err: error }, "unfinished write left behind");
    });
  }
}

function isStale(ingest: IngestStatus, isThere: (digest: Digest) => boolean): boolean {
  const { ref, offsetBytes } = ingest;
  if (ref.startsWith("import-") || ref.startsWith("document-")) return true;
  if (!isDownload(ingest)) return false;
  if (offsetBytes === 0n || idleFor(ingest) > 24n * hourNanos) return true;
  const { digest, suffix } = download.exec(ref)?.groups ?? {};
  return digest !== undefined && (suffix !== undefined || isThere(digest as Digest));
}

function isDownload({ ref }: IngestStatus): boolean {
  return ref.startsWith("layer-");
}

function idleFor({ updatedAtNanos }: IngestStatus): bigint {
  return nowNanos() - updatedAtNanos;
}
