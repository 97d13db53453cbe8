// SPDX-License-Identifier: Apache-2.0

/** Notifies those who keep a view of a namespace's images when a client has changed them. */
export class ImageChanges {
  readonly #listeners = new Map<string, Set<() => Promise<void>>>();

  /** Calls the listener, which must not throw, until disposed. */
  listen(namespace: string, onChange: () => Promise<void>): Disposable {
    const listeners = this.#listeners.get(namespace) ?? new Set();
    this.#listeners.set(namespace, listeners.add(onChange));
    return { [Symbol.dispose]: () => void listeners.delete(onChange) };
  }

  /** Settles when all views are up to date, so that the client's next call sees the change. */
  async notify(namespace: string): Promise<void> {
    await Promise.all([...(this.#listeners.get(namespace) ?? [])].map((onChange) => onChange()));
  }
}
