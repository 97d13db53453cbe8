// SPDX-License-Identifier: Apache-2.0

/**
 * Calls `react` once with the signal's reason: when the signal fires, or now when it has fired already. Disposing it
 * takes the reaction back. Without a signal nothing ever happens. A test keeps all other listeners to "abort" out of src/.
 *
 *     using _reaction = onAbort(signal, () => request.destroy());
 */
export function onAbort(
  signal: AbortSignal | undefined,
  react: (reason: Error) => void,
): Disposable {
  if (signal === undefined) return nothing;
  const listener = (): void => react(signal.reason as Error);
  if (signal.aborted) {
    listener();
    return nothing;
  }
  signal.addEventListener("abort", listener, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", listener) };
}

const nothing: Disposable = { [Symbol.dispose]: () => {} };
