// SPDX-License-Identifier: Apache-2.0
import { CommandExit } from "../command-exit.ts";
import { untilInterrupted } from "../interruption.ts";
import type { Terminal } from "../terminal.ts";
import { RemoteCommand } from "./remote-command.ts";
import type { TlsOptions } from "./tls-flags.ts";

export interface JoinOptions {
  readonly url: string;
  readonly terminal: Terminal;
  readonly stdin: boolean;
  /** The command has a terminal: keys go to it as they are, and changes of size are passed on. */
  readonly tty: boolean;
  readonly tls: TlsOptions;
  readonly signal: AbortSignal;
}

/**
 * Joins our own streams with a remote command until it ends, and puts the terminal back as it was, whatever happens.
 * Throws CommandExit unless the command succeeded; a signal that we get ends the session, and the status is 128 + n.
 */
export async function joinTerminal(options: JoinOptions): Promise<void> {
  const { terminal, tty } = options;
  using stack = new DisposableStack();
  const { signal } = stack.use(untilInterrupted(terminal, options.signal));
  const command = new RemoteCommand({
    url: options.url,
    streams: {
      stdin: options.stdin ? terminal.stdin : undefined,
      stdout: terminal.stdout,
      stderr: terminal.stderr,
    },
    tls: options.tls,
    signal,
  });
  if (tty) {
    const raw = options.stdin ? terminal.raw() : undefined;
    if (raw) stack.use(raw);
    const resize = (): void => {
      const size = terminal.size();
      if (size) command.resize(size);
    };
    resize();
    stack.use(terminal.onResize(resize));
  }
  const exitCode = await command.run();
  if (exitCode !== 0) throw new CommandExit(exitCode);
}
