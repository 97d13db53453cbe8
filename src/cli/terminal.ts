// SPDX-License-Identifier: Apache-2.0
import type { Readable, Writable } from "node:stream";
import { ReadStream, WriteStream } from "node:tty";
import { standardStreams } from "./standard-streams.ts";

/** The streams a command was started with, and the terminal behind them if there is one. */
export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Undefined unless standard output is a terminal. */
  size(): { readonly width: number; readonly height: number } | undefined;
  /** The same of standard error. */
  screen?(): { readonly width: number; readonly height: number } | undefined;
  /** Every key goes to the process until it is disposed; false when standard input is no terminal. */
  raw(): (Disposable & { readonly isTerminal: boolean }) | undefined;
  /** Calls back at each change of size, until disposed. */
  onResize(callback: () => void): Disposable;
  /** Calls back for signals that were sent to this command, instead of ending it, until disposed. */
  onSignal(callback: (signal: NodeJS.Signals) => void): Disposable;
}

const forwarded: readonly NodeJS.Signals[] = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
];

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdin } = process;
  const { stdout, stderr } = standardStreams();
  return {
    stdin,
    stdout,
    stderr,
    size: () =>
      stdout instanceof WriteStream && stdout.isTTY
        ? { width: stdout.columns, height: stdout.rows }
        : undefined,
    screen: () =>
      stderr instanceof WriteStream && stderr.isTTY
        ? { width: stderr.columns, height: stderr.rows }
        : undefined,
    raw: () => {
      if (!(stdin instanceof ReadStream) || !stdin.isTTY) return undefined;
      stdin.setRawMode(true);
      const restore = (): void => void stdin.setRawMode(false);
      // Also when something ends the process without unwinding: a raw terminal is unusable.
      process.once("exit", restore);
      return {
        isTerminal: true,
        [Symbol.dispose]: () => {
          process.off("exit", restore);
          restore();
        },
      };
    },
    onResize: (callback) => {
      stdout.on("resize", callback);
      return { [Symbol.dispose]: () => void stdout.off("resize", callback) };
    },
    onSignal: (callback) => {
      for (const name of forwarded) process.on(name, callback);
      return {
        [Symbol.dispose]: () => {
          for (const name of forwarded) process.off(name, callback);
        },
      };
    },
  };
}
