// SPDX-License-Identifier: Apache-2.0
import { type Command, CommanderError } from "commander";
import { errnoOf, isFault } from "../base/errors.ts";
import type { CliIo } from "./cli-io.ts";
import { CommandExit } from "./command-exit.ts";
import { styleHelp } from "./help-style.ts";
import { printable } from "./printable.ts";

/** The process's exit codes. */
export const exitCodes = { ok: 0, failure: 1, usage: 2 } as const;

/**
 * Runs a program on its arguments (without node and script) and answers the exit code: 0, 1 when the work failed, 2
 * when the command line was wrong, or that of the process a command ran. Failures are printed on standard error, one
 * line each, prefixed with the program's name.
 */
export async function runProgram(
  program: Command,
  args: readonly string[],
  io: CliIo,
): Promise<number> {
  prepare(program, io);
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCodes.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    }
    if (error instanceof CommandExit) return error.status;
    for (const line of printable(messageOf(error)).split("\n"))
      io.error(`${program.name()}: ${line}\n`);
    return exitCodes.failure;
  }
}

function prepare(command: Command, io: CliIo): void {
  command.exitOverride();
  styleHelp(command);
  command.configureOutput({
    writeOut: io.out,
    writeErr: io.error,
    outputError: (text, write) => write(text.replace(/^error: /, `${rootOf(command).name()}: `)),
  });
  for (const inner of command.commands) prepare(inner, io);
}

function rootOf(command: Command): Command {
  return command.parent ? rootOf(command.parent) : command;
}

/** The message of a fault or a system error; the stack of anything unexpected. */
function messageOf(error: unknown): string {
  if (isFault(error)) return error.message;
  if (error instanceof Error && /^E(?!RR_)/.test(errnoOf(error) ?? "")) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
