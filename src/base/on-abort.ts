// SPDX-License-Identifier: Apache-2.0

type React = (reason: Error) => void;

/**
 * Reactions by signal, for as long as there are any. Each signal has one listener: an EventTarget looks through all that it
 * has for each that comes or goes, and a signal of the daemon's life has one for each container.
 */
const reactions = new WeakMap<AbortSignal, Reactions>();

/**
 * Calls `react` once with the signal's reason: when the signal fires, or now when it has fired already. Disposing it
 * takes the reaction back. Without a signal nothing ever happens. A test keeps all other listeners to "abort" out of src/.
 *
 *     using _reaction = onAbort(signal, () => request.destroy());
 */
export function onAbort(signal: AbortSignal | undefined, react: React): Disposable {
  if (signal === undefined) return nothing;
  if (signal.aborted) {
    react(signal.reason as Error);
    return nothing;
  }
  const known = reactions.get(signal) ?? new Reactions(signal);
  return known.add(react);
}

const nothing: Disposable = { [Symbol.dispose]: () => {} };

class Reactions {
  readonly #signal: AbortSignal;
  readonly #all = new Set<{ readonly react: React }>();
  readonly #listener = (): void => this.#fire();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#listener, { once: true });
    reactions.set(signal, this);
  }

  add(react: React): Disposable {
    const one = { react };
    this.#all.add(one);
    return { [Symbol.dispose]: () => this.#drop(one) };
  }

  #drop(one: { readonly react: React }): void {
    if (!this.#all.delete(one) || this.#all.size > 0 || this.#signal.aborted) return;
    this.#signal.removeEventListener("abort", this.#listener);
    reactions.delete(this.#signal);
  }

  /** In their order; one that was taken back by another does not come. One that throws keeps none from theirs, as of listeners. */
  #fire(): void {
    reactions.delete(this.#signal);
    for (const one of this.#all) {
      try {
        one.react(this.#signal.reason as Error);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    this.#all.clear();
  }
}
