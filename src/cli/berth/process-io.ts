// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { fault } from "../../base/errors.ts";
import { fifosBeside, removeLeftFifos } from "../../base/os/left-fifos.ts";
import { logFileIo } from "../../client/io/log-file-io.ts";
import { nullIo } from "../../client/io/null-io.ts";
import { stdioIo, terminalIo } from "../../client/io/stdio-io.ts";
import type { IoCreator } from "../../client/ports.ts";
import type { CliIo } from "../cli-io.ts";
import type { Terminal } from "../terminal.ts";
import { usageFault } from "../usage-fault.ts";
import type { Session } from "./call-options.ts";

/** The flags that say where a process's streams go. */
export interface IoFlags {
  readonly detach?: boolean;
  readonly nullIo?: boolean;
  readonly log?: string;
  readonly fifoDir?: string;
  readonly pidFile?: string;
}

/** The flags of commands that start a process. */
export function withIoFlags(command: Command): Command {
  return command
    .option("-d, --detach", "do not stay with it; its output goes nowhere, unless --log is given")
    .option("--null-io", "connect it with nothing")
    .option("--log <file>", "append its output to this file, on the daemon's machine")
    .option("--fifo-dir <folder>", "folder for the FIFOs between it and this command")
    .option("--pid-file <file>", "write its pid to this file");
}

export interface ProcessStreams {
  readonly io: IoCreator;
  readonly terminal: Terminal;
  /** Whether our own streams are joined with the process's; otherwise there is nothing to copy. */
  readonly isJoined: boolean;
}

/** How a process is connected. INVALID_ARGUMENT for flags that contradict each other. */
export async function streamsFor(
  flags: IoFlags,
  tty: boolean,
  session: Session,
  cli: CliIo,
): Promise<ProcessStreams> {
  const terminal = terminalOf(cli);
  if (flags.log !== undefined && (flags.nullIo || tty)) {
    throw usageFault("--log cannot go with --null-io or a terminal");
  }
  if (flags.log !== undefined) {
    return { io: logFileIo(path.resolve(flags.log)), terminal, isJoined: false };
  }
  if ((flags.detach || flags.nullIo) && tty) {
    throw usageFault("a terminal cannot go with --detach or --null-io");
  }
  if (flags.detach || flags.nullIo) return { io: nullIo, terminal, isJoined: false };
  const dir = fifoFolder(flags, session);
  // A folder that a flag names may be for more than that.
  if (flags.fifoDir === undefined) await removeLeftFifos(dir);
  const options = { dir, ...streamsOf(terminal) };
  return { io: tty ? terminalIo(options) : stdioIo(options), terminal, isJoined: true };
}

/** The daemon's shims must find it too: it is beside the socket, unless a flag names another. */
export function fifoFolder(flags: IoFlags, session: Session): string {
  return path.resolve(flags.fifoDir ?? fifosBeside(session.address));
}

export function streamsOf({
  stdin,
  stdout,
  stderr,
}: Terminal): Pick<Terminal, "stdin" | "stdout" | "stderr"> {
  return { stdin, stdout, stderr };
}

export function terminalOf(cli: CliIo): Terminal {
  const terminal = cli.terminal?.();
  if (terminal) return terminal;
  throw fault("FAILED_PRECONDITION", "this command needs standard streams");
}

export function writePidFile(flags: IoFlags, pid: number): void {
  if (flags.pidFile !== undefined) writeFileSync(flags.pidFile, String(pid));
}
