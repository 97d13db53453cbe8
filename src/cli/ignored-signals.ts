// SPDX-License-Identifier: Apache-2.0

/**
 * Other runtimes print their state when they get one of these. Node would open a debugger to every process of the
 * machine, or end. bin/berthd has Node block the first.
 */
const ignored = ["SIGUSR1", "SIGUSR2"] as const;

/** Reports the signals and does nothing else, until disposed. */
export function ignoreSignals(report: (signal: NodeJS.Signals) => void): Disposable {
  for (const name of ignored) process.on(name, report);
  return {
    [Symbol.dispose]: () => {
      for (const name of ignored) process.off(name, report);
    },
  };
}
