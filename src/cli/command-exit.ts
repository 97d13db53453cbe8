// SPDX-License-Identifier: Apache-2.0

/** The status of a program whose output nobody reads any more, as a shell reports SIGPIPE. */
export const brokenPipe = 141;

/**
 * Thrown by a command whose exit status is that of a process it ran. It is no failure of the command, and nothing is
 * printed.
 */
export class CommandExit extends Error {
  override readonly name = "CommandExit";
  readonly status: number;
  /** Ends the process, where what still runs in it must not be waited for. */
  readonly endNow: ((status: number) => void) | undefined;

  constructor(status: number, endNow?: (status: number) => void) {
    super(`exit status ${status}`);
    this.status = status;
    this.endNow = endNow;
  }
}
