// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { Digest } from "../../content/ports.ts";

export interface EarlyOptions<T> {
  /** Begins to extract a file that still grows; undefined when it cannot right now. */
  readonly start: (file: string, call: Cancellable) => Promise<T> | undefined;
  /** Removes a result that nobody takes. */
  readonly discard: (result: T) => Promise<void>;
}

/**
 * The extraction of a layer that is still on its way. It is an attempt: where it fails, for whatever reason, the layer
 * is extracted once more when all of it is here and proven, and that one tells what is wrong with it. Disposing ends
 * it, and removes a result that was not taken.
 */
export class EarlyLayer<T extends { readonly blobDigest?: Digest }> implements AsyncDisposable {
  readonly #options: EarlyOptions<T>;
  readonly #abort = new AbortController();
  readonly #call: Cancellable;
  #work: Promise<T | undefined> | undefined;
  #state: "open" | "taken" | "gone" = "open";

  constructor(options: EarlyOptions<T>, { signal }: Cancellable) {
    this.#options = options;
    this.#call = { signal: AbortSignal.any([signal, this.#abort.signal]) };
  }

  /** Begins, once. Answers the digest of all bytes when they have been read, undefined when it fails. */
  begin(file: string): Promise<Digest | undefined> | undefined {
    if (this.#work) return undefined;
    this.#work = this.#options.start(file, this.#call)?.catch(() => undefined);
    return this.#work?.then((result) => result?.blobDigest);
  }

  /** The result if it is that of the blob, the caller's from now on. */
  async take(blob: Digest, { signal }: Cancellable): Promise<T | undefined> {
    if (!this.#work) return undefined;
    const result = await unlessAborted(this.#work, signal);
    if (result?.blobDigest !== blob || this.#state !== "open") return undefined;
    this.#state = "taken";
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "gone";
    this.#abort.abort();
    const result = await this.#work;
    if (result) await this.#options.discard(result);
  }
}
