// SPDX-License-Identifier: Apache-2.0
import type { Writable } from "node:stream";
import { errnoOf, fault } from "../base/errors.ts";
import { systemWords } from "../base/system-words.ts";
import { brokenPipe, CommandExit } from "./command-exit.ts";
import { standardStreams } from "./standard-streams.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** What a command sees of the process it runs in; tests hand in their own. */
export interface CliIo {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For commands that join a process's streams; opened only when asked for. */
  readonly terminal?: () => Terminal;
  /** Fires when what is printed reaches nobody any more, with what ends the command then. */
  readonly lost?: AbortSignal;
  /** Settles once all that was printed has been taken, or is lost. */
  readonly settled?: () => Promise<void>;
}

/**
 * The real process. A reader that has had enough (`berth ps | head`) ends it without a word, with the status of
 * SIGPIPE, as it ends other programs; output that cannot be written is a failure. A reader of standard error counts
 * unless it `outlivesErrors`: a daemon's log may go while it serves.
 */
export function processIo({ outlivesErrors = false } = {}): CliIo {
  const { stdout, stderr } = standardStreams();
  const lost = new AbortController();
  let hasPrinted = false;
  stdout.on("error", (error) => lost.abort(lossOf(error)));
  stderr.on("error", (error) => {
    if (!outlivesErrors && errnoOf(error) === "EPIPE") lost.abort(lossOf(error));
  });
  return {
    out: (text) => {
      hasPrinted = true;
      stdout.write(text);
    },
    error: (text) => void stderr.write(text),
    // oxlint-disable-next-line node/no-process-env -- the command line's own surroundings, read here and nowhere else
    env: process.env,
    terminal: processTerminal,
    lost: lost.signal,
    settled: async () => {
      if (hasPrinted) await taken(stdout);
    },
  };
}

function lossOf(error: Error): Error {
  if (errnoOf(error) === "EPIPE") return new CommandExit(brokenPipe);
  const why = systemWords(error) ?? error.message;
  return fault("FAILED_PRECONDITION", `cannot write standard output: ${why}`, { cause: error });
}

/** Settles when the stream has taken what was written to it, and told what it could not. */
function taken(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.write("", () => setImmediate(resolve));
  });
}
