// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { timeLimit } from "../../base/deadline.ts";
import { fault, isFault } from "../../base/errors.ts";
import { ourShares } from "../../base/memory/memory-shares.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { unlessAborted } from "../../base/waits.ts";
import { DocumentThread } from "./document-thread.ts";
import {
  type DocumentKind,
  type Documents,
  type DocumentTask,
  parseDocument,
} from "./parse-document.ts";

/** Nearly all documents are smaller, and read faster than a message goes to a thread and back. */
const inlineBytes = 64 * 1024;
/** More than one, so that a document that is slow to read does not hold up all others. */
const threads = ourShares().documentThreads;
/** The largest documents take a second or two. */
const defaultLimitMs = 15_000;

/**
 * Reads documents: small ones at once, others in threads of their own, which start with the first of them
 * and end when none has come for some seconds.
 */
export class DocumentReader {
  readonly #limitMs: number;
  readonly #turns = new Semaphore(threads);
  readonly #idle = new Set<DocumentThread>();

  constructor(options: { readonly limitMs?: number } = {}) {
    this.#limitMs = options.limitMs ?? defaultLimitMs;
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
    if (task.bytes.length <= inlineBytes) return parseDocument(task);
    using _turn = await this.#turns.acquire(call);
    try {
      return await this.#readAside(task, call);
    } catch (error) {
      // The thread ended for another reason than this document.
      if (!isFault(error, "UNAVAILABLE")) throw error;
      return await this.#readAside(task, call);
    }
  }

  async #readAside<K extends DocumentKind>(
    task: DocumentTask<K>,
    { signal }: Cancellable,
  ): Promise<Documents[K]> {
    const [known] = this.#idle;
    const thread = known ?? new DocumentThread((ended) => this.#idle.delete(ended));
    this.#idle.delete(thread);
    using limit = timeLimit(this.#limitMs, signal);
    try {
      const answer = await unlessAborted(thread.ask(task), limit.signal);
      thread.endLater();
      this.#idle.add(thread);
      if (!answer.ok) throw fault(answer.code, answer.message);
      return answer.value as Documents[K];
    } catch (error) {
      // Whatever the thread is doing, the next document must not wait for it.
      if (!this.#idle.has(thread)) thread.end();
      signal.throwIfAborted();
      if (limit.signal.aborted)
        throw fault("DEADLINE_EXCEEDED", `${task.what} takes too long to be read`);
      throw error;
    }
  }
}
