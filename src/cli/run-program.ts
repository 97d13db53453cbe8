// SPDX-License-Identifier: Apache-2.0
import { type Command, CommanderError } from "commander";
import { errnoOf, isFault } from "../base/errors.ts";
import { systemWords } from "../base/system-words.ts";
import type { CliIo } from "./cli-io.ts";
import { CommandExit } from "./command-exit.ts";
import { styleHelp } from "./help-style.ts";
import { printable } from "./printable.ts";
import { isUsageFault } from "./usage-fault.ts";

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
  const end = await endOf(program.parseAsync([...args], { from: "user" }));
  await io.settled?.();
  // Whatever else went wrong: what it printed, its error included, may have reached nobody.
  const code =
    io.lost?.aborted === true ? told(io.lost.reason, program, io) : told(end, program, io);
  if (end instanceof CommandExit) end.endNow?.(code);
  return code;
}

/** What the work threw; undefined for nothing. */
async function endOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The exit code for what a command ended with, which is printed where it is a failure. */
function told(end: unknown, program: Command, io: CliIo): number {
  if (end === undefined) return exitCodes.ok;
  if (end instanceof CommanderError) {
    return end.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  if (end instanceof CommandExit) return end.status;
  for (const line of printable(messageOf(end)).split("\n"))
    io.error(`${program.name()}: ${line}\n`);
  return isUsageFault(end) ? exitCodes.usage : exitCodes.failure;
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

/** The message of a fault, a system error in the system's words; the stack of anything unexpected. */
function messageOf(error: unknown): string {
  if (isFault(error)) return error.message;
  const words = systemWords(error);
  if (words !== undefined) {
    const path: unknown = Reflect.get(error as object, "path");
    return typeof path === "string" ? `${path}: ${words}` : words;
  }
  if (error instanceof Error && /^E(?!RR_)/.test(errnoOf(error) ?? "")) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
