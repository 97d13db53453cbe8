// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";

/**
 * What is written to the content store beside other work: an image's documents take longer to store than to fetch. The
 * first that cannot be stored ends that work too, with its own error. Disposing waits for all that is being written.
 */
export class StoredBeside implements AsyncDisposable {
  /** Of all work: ends when the caller's does, or with the first failure. */
  readonly call: Cancellable;
  readonly #failed = new AbortController();
  readonly #works: Promise<void>[] = [];

  constructor({ signal }: Cancellable) {
    this.call = { signal: AbortSignal.any([signal, this.#failed.signal]) };
  }

  add(work: Promise<void>): void {
    this.#works.push(work);
    work.catch((error: unknown) => this.#failed.abort(error));
  }

  /** Settles when all is stored that has been added; rejects with the first failure. */
  async all(): Promise<void> {
    await Promise.all(this.#works);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#works);
  }
}
