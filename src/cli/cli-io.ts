// SPDX-License-Identifier: Apache-2.0
import { processTerminal, type Terminal } from "./terminal.ts";

/** What a command sees of the process it runs in; tests hand in their own. */
export interface CliIo {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For commands that join a process's streams; opened only when asked for. */
  readonly terminal?: () => Terminal;
}

/** The real process. */
export function processIo(): CliIo {
  // `berth ps | head` closes the pipe early, which is no failure.
  process.stdout.on("error", () => {});
  return {
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    // oxlint-disable-next-line node/no-process-env -- the command line's own surroundings, read here and nowhere else
    env: process.env,
    terminal: processTerminal,
  };
}
