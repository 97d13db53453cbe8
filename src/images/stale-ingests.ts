// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { nowNanos } from "../base/now.ts";
import type { ContentStore } from "../content/ports.ts";

export interface StaleIngests {
  readonly content: ContentStore;
  readonly namespace: string;
  readonly log: Logger;
}

const keptNanos = 24n * 3600n * 1_000_000_000n;

/**
 * Drops unfinished writes that nobody will go on with: those of imports, whose refs are never used
 * again, and downloads that have waited for a day. Call it at start, before anything is pulled.
 */
export async function dropStaleIngests({ content, namespace, log }: StaleIngests): Promise<void> {
  for (const { ref, updatedAtNanos } of await content.ingests(namespace)) {
    const isOnce = ref.startsWith("import-") || ref.startsWith("document-");
    const isOld = ref.startsWith("layer-") && nowNanos() - updatedAtNanos > keptNanos;
    if (!isOnce && !isOld) continue;
    await content.abort(namespace, ref).catch((error: unknown) => {
      if (isFault(error, "NOT_FOUND", "UNAVAILABLE")) return;
      log.warn({ ref, err: error }, "unfinished write left behind");
    });
  }
}
