// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, toFault } from "../../base/errors.ts";
import { timeoutSignal } from "../../base/timers.ts";
import { within } from "../../base/waits.ts";
import type { ExitStatus, Process } from "../../client/ports.ts";
import type { CliIo } from "../cli-io.ts";
import { CommandExit } from "../command-exit.ts";
import { printable } from "../printable.ts";
import type { Terminal } from "../terminal.ts";
import { readSignal } from "./signals.ts";

/** How long to wait for the rest of the output once the process has ended: a child may still hold it. */
const drainMs = 2_000;
/** How long to wait for the report of a process's exit once closing its input has failed. */
const endedMs = 2_000;

export interface AttachedOptions {
  readonly terminal: Terminal;
  /** The process has a terminal: keys go to it as they are, and changes of size are passed on. */
  readonly tty: boolean;
  /** Start it once the wait stands; otherwise it runs already. */
  readonly start: boolean;
  readonly stdin: boolean;
}

/**
 * Stays with a process until it ends: passes on signals, the end of stdin and the terminal's size, and
 * puts the terminal back as it was, whatever happens.
 */
export async function stayWith(
  process: Process,
  { terminal, tty, start, stdin }: AttachedOptions,
  call: Cancellable,
): Promise<ExitStatus> {
  const exit = await process.wait(call);
  using stack = new DisposableStack();
  const started = Promise.withResolvers<void>();
  if (!tty) {
    // Before it is started: the first sign of a process may be its output.
    const forward = (name: NodeJS.Signals): void =>
      ignoreGone(started.promise.then(() => process.kill(readSignal(name), call)));
    stack.use(terminal.onSignal(forward));
  }
  if (start) await process.start(call);
  started.resolve();
  if (tty) {
    if (stdin) stack.use(terminal.raw());
    const resize = (): void => {
      const size = terminal.size();
      if (size) ignoreGone(process.resize(size.width, size.height, call));
    };
    resize();
    stack.use(terminal.onResize(resize));
  }
  const stuck = Promise.withResolvers<never>();
  if (stdin) {
    // A terminal's input has no end: when it is closed the shim hangs up, and output is lost.
    const onEnd = (): void => {
      if (!tty) endInput(process, exit.status, call).catch(stuck.reject);
    };
    terminal.stdin.once("end", onEnd);
    stack.defer(() => {
      terminal.stdin.off("end", onEnd).unpipe().pause();
      if ("unref" in terminal.stdin) (terminal.stdin as { unref(): void }).unref();
    });
    if (terminal.stdin.readableEnded) onEnd();
  }
  const status = await Promise.race([exit.status, stuck.promise]);
  await process.io
    ?.drained({ signal: AbortSignal.any([call.signal, timeoutSignal(drainMs)]) })
    .catch(() => {});
  return status;
}

/**
 * Closes the process's input. A failure ends the command: the process would wait for the end of its input, and we for
 * the process.
 */
async function endInput(
  process: Process,
  status: Promise<ExitStatus>,
  call: Cancellable,
): Promise<void> {
  try {
    await process.closeStdin(call);
  } catch (error) {
    // Most likely the process has just exited.
    if (isFault(error, "NOT_FOUND", "FAILED_PRECONDITION")) return;
    if ((await within(status, endedMs)) !== undefined) return;
    const { code, message } = toFault(error);
    throw fault(code, `the end of the input was not passed on: ${message}`, { cause: error });
  }
}

/** The process may end at any moment; calls that come too late are no failure. */
function ignoreGone(done: Promise<void>): void {
  done.catch((error: unknown) => {
    if (!isFault(error)) throw error;
  });
}

/** Ends the command with the process's exit status; when that is not known, an error is printed and the status is 255. */
export function passOn({ exitCode, error }: ExitStatus, io: CliIo): void {
  if (error && io.lost?.aborted !== true)
    io.error(`berth: the exit status is not known: ${printable(error.message)}\n`);
  if (exitCode !== 0) throw new CommandExit(exitCode);
}
