// SPDX-License-Identifier: Apache-2.0
import os from "node:os";
import type { Cancellable } from "../base/cancellable.ts";
import { CommandExit } from "./command-exit.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Until it is disposed, a signal that is sent to this command fires it in place of ending the process: with the status of
 * such an end, for work that has something to clear up. It fires with `outer`, too.
 */
export function untilInterrupted(terminal: Terminal, outer: AbortSignal): Cancellable & Disposable {
  const interrupted = new AbortController();
  const signals = terminal.onSignal((name) => {
    interrupted.abort(new CommandExit(128 + os.constants.signals[name]));
  });
  return {
    signal: AbortSignal.any([outer, interrupted.signal]),
    [Symbol.dispose]: () => signals[Symbol.dispose](),
  };
}
