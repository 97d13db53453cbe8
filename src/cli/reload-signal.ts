// SPDX-License-Identifier: Apache-2.0
import { isatty } from "node:tty";

/** What SIGHUP means: a reload, or the end of the terminal that the daemon was started in. */
export interface ReloadSignal extends Disposable {
  /** Called for each signal from now on, and at once for those that came before, as one. */
  onReload(reload: () => void): void;
  /** Called instead, once, when the terminal has gone. */
  onClosedTerminal(stop: () => void): void;
}

const standardStreams = [0, 1, 2] as const;

/** Listens from now on: a signal that comes while the daemon starts must neither end it nor be lost. */
export function reloadSignal(): ReloadSignal {
  const terminals = standardStreams.filter((fd) => isatty(fd));
  let reload: (() => void) | undefined;
  let stop = (): void => {};
  let isAsked = false;
  let isClosed = false;
  const onSignal = (): void => {
    if (isClosed) return;
    isClosed = terminals.some((fd) => !isatty(fd));
    if (isClosed) stop();
    else if (reload) reload();
    else isAsked = true;
  };
  process.on("SIGHUP", onSignal);
  return {
    onReload: (wanted) => {
      reload = wanted;
      if (isAsked) wanted();
      isAsked = false;
    },
    onClosedTerminal: (wanted) => {
      stop = wanted;
    },
    [Symbol.dispose]: () => {
      process.off("SIGHUP", onSignal);
    },
  };
}
