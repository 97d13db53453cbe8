// SPDX-License-Identifier: Apache-2.0

/**
 * Other runtimes tell their state when they get one of these; Node's own answers are a debugger, open to every
 * process of the machine, and the end. bin/berthd has Node block the first.
 */
const ignored = ["SIGUSR1", "SIGUSR2"] as const;

/** Takes the signals from now on, and does nothing but tell, until disposed. */
export function ignoreSignals(tell: (signal: NodeJS.Signals) => void): Disposable {
  for (const name of ignored) process.on(name, tell);
  return {
    [Symbol.dispose]: () => {
      for (const name of ignored) process.off(name, tell);
    },
  };
}
