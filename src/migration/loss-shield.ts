// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { onAbort } from "../base/on-abort.ts";

/**
 * A signal that fires with another, but for one thing while it is held: that nobody reads what is printed any more. That
 * comes once it is released, as a node must not stay without a kubelet because a terminal was closed.
 */
export class LossShield implements Cancellable, Disposable {
  readonly #abort = new AbortController();
  readonly #reaction: Disposable;
  #isHeld = false;
  #loss: { readonly reason: unknown } | undefined;

  constructor({ signal }: Cancellable, isLoss: (reason: unknown) => boolean) {
    this.#reaction = onAbort(signal, (reason) => {
      if (this.#isHeld && isLoss(reason)) this.#loss = { reason };
      else this.#abort.abort(reason);
    });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    if (this.#loss !== undefined) this.#abort.abort(this.#loss.reason);
  }

  [Symbol.dispose](): void {
    this.#reaction[Symbol.dispose]();
  }
}
