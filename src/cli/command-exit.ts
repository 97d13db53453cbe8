// SPDX-License-Identifier: Apache-2.0

/**
 * Thrown by a command whose exit status is that of a process it ran: no failure of its own, nothing
 * is told about it.
 */
export class CommandExit extends Error {
  override readonly name = "CommandExit";
  readonly status: number;

  constructor(status: number) {
    super(`exit status ${status}`);
    this.status = status;
  }
}
