// SPDX-License-Identifier: Apache-2.0

const open = new Set<AsyncDisposable>();
let listening = false;

/**
 * Disposes `owner` when this process is told to end (a test runner's time-out, Ctrl-C): what a test
 * starts must not outlive it. Answers what takes that back.
 */
export function disposeOnSignal(owner: AsyncDisposable): Disposable {
  open.add(owner);
  if (!listening) {
    listening = true;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => void disposeAll(signal));
    }
  }
  return { [Symbol.dispose]: () => void open.delete(owner) };
}

async function disposeAll(signal: "SIGINT" | "SIGTERM" | "SIGHUP"): Promise<void> {
  // What was opened last goes first: it may be what uses the others.
  for (const owner of [...open].toReversed()) {
    await Promise.resolve(owner[Symbol.asyncDispose]()).catch(() => {});
  }
  process.kill(process.pid, signal);
}
