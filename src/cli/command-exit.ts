// SPDX-License-Identifier: Apache-2.0

/**
 * Thrown by a command whose exit status is that of a process it ran. It is no failure of the command, and nothing is
 * printed.
 */
export class CommandExit extends Error {
  override readonly name = "CommandExit";
  readonly status: number;

  constructor(status: number) {
    super(`exit status ${status}`);
    this.status = status;
  }
}
