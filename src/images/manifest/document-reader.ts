// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { ourShares } from "../../base/memory/memory-shares.ts";
import { ParsingThreads } from "../../base/parsing/parsing-threads.ts";
import { isKnownManifest } from "./media-types.ts";
import {
  type DocumentKind,
  type Documents,
  type DocumentTask,
  parseDocument,
} from "./parse-document.ts";

/** Nearly all documents are smaller, and read faster than a message goes to a thread and back. */
const inlineBytes = 64 * 1024;
/** The largest documents take a second or two of a processor, of which a node that starts has little for each. */
const defaultLimitMs = 60_000;

/** Reads documents: small ones at once, others in threads of their own. */
export class DocumentReader {
  readonly #threads: ParsingThreads<DocumentTask, Documents[DocumentKind]>;

  constructor(options: { readonly limitMs?: number } = {}) {
    this.#threads = new ParsingThreads({
      module: new URL("./document-worker.ts", import.meta.url),
      name: "documents",
      heapMiB: ourShares().documentHeapMiB, // JSON can become objects of forty times its size
      threads: ourShares().documentThreads, // one that is slow to read does not hold up all others
      limitMs: options.limitMs ?? defaultLimitMs,
    });
  }

  /**
   * FAILED_PRECONDITION for what is no such document or has too much of anything, INVALID_ARGUMENT for a
   * bad `docker` one; RESOURCE_EXHAUSTED for one that takes more memory than there is for it,
   * DEADLINE_EXCEEDED for one that takes too long.
   */
  async read<K extends DocumentKind>(
    task: DocumentTask<K>,
    call: Cancellable,
  ): Promise<Documents[K]> {
    const isNamed = task.kind === "type" && isKnownManifest(task.mediaType);
    if (isNamed || task.bytes.length <= inlineBytes) return parseDocument(task);
    return (await this.#threads.run(task, call)) as Documents[K];
  }
}
