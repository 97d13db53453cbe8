// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { type Cancellable, cleanupDeadline } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { ContentStore, Digest } from "../../content/ports.ts";
import type { Snapshotter } from "../../snapshots/ports.ts";
import type { Extractor } from "../unpack/extract-layer.ts";
import { extractionKey, unfinished } from "../unpack/extraction-key.ts";

export interface LayerStores {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly log: Logger;
}

export interface LayerToCompare {
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly chainId: Digest;
  /** The chain below it; "" for the lowest. */
  readonly parent: string;
}

/**
 * Extracts a layer anew, beside its snapshot, and tells the first difference, a clause; "" when there is none. The blob
 * must be whole. Takes as much disk as the layer until it is done.
 */
export async function compareLayer(
  { namespace, content, snapshotter, log }: LayerStores,
  { digest, diffId, chainId, parent }: LayerToCompare,
  extractor: Extractor,
  call: Cancellable,
): Promise<string> {
  const [found] = snapshotter.directories(namespace, chainId);
  if (found === undefined) return "it has no folder";
  const key = extractionKey(randomBytes(6).toString("hex"), chainId);
  try {
    await snapshotter.prepare(namespace, key, "", { labels: unfinished, ...call });
    const [root = ""] = snapshotter.directories(namespace, key);
    const lowers = snapshotter.directories(namespace, parent);
    await extractor.extract({ blob: content.pathOf(digest), root, diffId, lowers }, call);
    return await extractor.compare({ expected: root, found }, call);
  } catch (error) {
    // By the disk and not by the error: something else may have been missing.
    if (!existsSync(found)) return "its folder is gone";
    throw error;
  } finally {
    const cleanup = { signal: cleanupDeadline(60_000) };
    await snapshotter.remove(namespace, key, cleanup).catch((error: unknown) => {
      if (!isFault(error, "NOT_FOUND")) log.warn({ key, err: error }, "extraction left behind");
    });
  }
}
