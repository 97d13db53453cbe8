// SPDX-License-Identifier: Apache-2.0
import { timeLimit } from "../base/deadline.ts";
import { untilAborted, within } from "../base/waits.ts";
import type { CommandConnection } from "./command-connection.ts";
import { pumpInput } from "./input-pump.ts";
import type { OpenedProcess } from "./messages.ts";
import { drained, OutputPump } from "./output-pump.ts";
import type { SessionEnd, TerminalSize } from "./ports.ts";
import { ProcessPipes } from "./process-pipes.ts";
import { type Outcome, statusText } from "./status.ts";

/** How long a terminal's start waits for its client to send the size; clients send it at once. */
const firstSizeMs = 100;

/** How long to wait for the report of a process's exit once closing its input has failed. */
const endedMs = 2_000;

/** The process behind a session, as the worker reaches it: every call goes to the main thread. */
export interface ProcessControl {
  /** Settles when the process has exited. Never rejects, may never settle. */
  readonly ended: Promise<SessionEnd>;
  open(): Promise<OpenedProcess>;
  /** With the size that is known already, so that the process never sees a terminal without one. */
  start(size: TerminalSize | undefined): Promise<void>;
  resize(size: TerminalSize): Promise<void>;
  closeStdin(): Promise<void>;
}

/**
 * Serves one client of exec or attach to its end. Returns when the client has its status or is gone;
 * a failure of the process's side becomes the status.
 */
export async function runCommand(
  connection: CommandConnection,
  control: ProcessControl,
  { tty }: { readonly tty: boolean },
): Promise<void> {
  let outcome: Outcome | undefined;
  try {
    outcome = await pump(connection, control, tty);
  } catch (error) {
    outcome = { kind: "failed", message: error instanceof Error ? error.message : String(error) };
  }
  if (connection.gone.aborted) return;
  connection.stdin?.resume(); // unread input would keep the connection paused
  await connection.finish(statusText(connection.version, outcome));
}

async function pump(
  connection: CommandConnection,
  control: ProcessControl,
  tty: boolean,
): Promise<Outcome> {
  const { gone } = connection;
  const { fifos, drainTimeoutMs } = await control.open();
  using pipes = new ProcessPipes(fifos);
  const pumps = [
    ...(pipes.stdout ? [new OutputPump(pipes.stdout, connection.stdout)] : []),
    ...(pipes.stderr ? [new OutputPump(pipes.stderr, connection.stderr)] : []),
  ];
  if (gone.aborted) return clientGone;
  await control.start(tty ? await firstSize(connection) : undefined);
  const stuck = Promise.withResolvers<Outcome>();
  // Input and sizes only now: an attached process may answer at once, and its outputs must be open for that.
  if (connection.stdin && pipes.stdin) {
    pumpInput(connection.stdin, pipes.stdin, () => endInput(control, stuck.resolve));
  }
  forwardSizes(connection, control);
  const end = await untilAborted(Promise.race([control.ended, stuck.promise]), gone);
  if (end === undefined) return clientGone;
  // The process of a session that was cut off may go on writing, so its client gets the error at once.
  if (end.kind === "exited") await drained(pumps, drainTimeoutMs, gone);
  return end;
}

const clientGone: Outcome = { kind: "failed", message: "client is gone" };

/**
 * Closes the process's input. A failure ends the session: the process would wait for the end of its input, and the
 * client for the process.
 */
async function endInput(control: ProcessControl, onStuck: (why: Outcome) => void): Promise<void> {
  try {
    await control.closeStdin();
  } catch (error) {
    // Most likely the process has just exited, and the report is on its way.
    if ((await within(control.ended, endedMs)) !== undefined) return;
    const why = error instanceof Error ? error.message : String(error);
    onStuck({ kind: "failed", message: `the end of the input was not passed on: ${why}` });
  }
}

async function firstSize(connection: CommandConnection): Promise<TerminalSize | undefined> {
  const { promise, resolve } = Promise.withResolvers<TerminalSize>();
  connection.onResize(resolve);
  using limit = timeLimit(firstSizeMs, connection.gone);
  return await untilAborted(promise, limit.signal);
}

/** One resize at a time, always to the latest size: a client may send sizes faster than a resize takes. */
function forwardSizes(connection: CommandConnection, control: ProcessControl): void {
  let next: TerminalSize | undefined;
  let busy = false;
  const forward = async (): Promise<void> => {
    busy = true;
    while (next !== undefined) {
      const size = next;
      next = undefined;
      await control.resize(size).catch(() => {}); // the process may have exited; main logs the rest
    }
    busy = false;
  };
  connection.onResize((size) => {
    next = size;
    if (!busy) void forward(); // cannot reject
  });
}
