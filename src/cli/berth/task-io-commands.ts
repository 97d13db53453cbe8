// SPDX-License-Identifier: Apache-2.0

import { randomBytes } from "node:crypto";
import { rmdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { errnoOf, fault, isFault } from "../../base/errors.ts";
import { checkIdentifier } from "../../base/identifier.ts";
import { timeoutSignal } from "../../base/timers.ts";
import { attachStdio } from "../../client/io/stdio-io.ts";
import { kindLabel } from "../../client/kind-label.ts";
import type { Container, IoConfig, Process } from "../../client/ports.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { parseExactJson } from "../../oci/encode-spec.ts";
import type { OciProcess, OciSpec } from "../../oci/spec.ts";
import { packLight } from "../../rpc/light/light-any.ts";
import type { CliIo } from "../cli-io.ts";
import { checkUsage, usageFault } from "../usage-fault.ts";
import { passOn, stayWith } from "./attached.ts";
import { type Session, withNamespaceFlag, withSession } from "./call-options.ts";
import { collect } from "./pairs.ts";
import {
  type IoFlags,
  streamsFor,
  streamsOf,
  terminalOf,
  withIoFlags,
  writePidFile,
} from "./process-io.ts";

/** The commands of `berth task` that join a process's streams. */
export function addTaskIoCommands(task: Command, io: CliIo): void {
  withIoFlags(withNamespaceFlag(task.command("start <id>")))
    .description("start a container's task and stay with it; exits with its exit status")
    .option("--restore <folder>", "go on from the checkpoint in this folder")
    .action((id: string, flags: IoFlags & { restore?: string }, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const container = await session.containers().loadContainer(id, session.call);
        await startTask(container, flags, session, io);
      }),
    );
  withIoFlags(withNamespaceFlag(task.command("exec <id> <command...>")))
    .description("run a command in a task and stay with it; exits with its exit status")
    .option("-t, --tty", "give it a terminal", false)
    .option("--exec-id <id>", "its id (default: a random one)")
    .option("--cwd <folder>", "its working directory (default: the container's)")
    .option("-u, --user <uid[:gid]>", "its user, in numbers (default: the container's)")
    .option("-e, --env <name=value>", "a variable more; may be given many times", collect, [])
    .passThroughOptions()
    .action((id: string, args: string[], flags: ExecFlags, command: Command) =>
      withSession(command, io, undefined, (session) => exec(session, { id, args }, flags, io)),
    );
  withNamespaceFlag(task.command("attach <id>"))
    .description("join the streams of a running task and stay with it; exits with its exit status")
    .option("--no-stdin", "only look on")
    .action((id: string, flags: { stdin: boolean }, command: Command) =>
      withSession(command, io, undefined, (session) => attach(session, id, flags.stdin, io)),
    );
}

interface StartFlags extends IoFlags {
  readonly restore?: string;
}

/** Creates and starts a container's task, and stays with it unless told not to. */
export async function startTask(
  container: Container,
  flags: StartFlags,
  session: Session,
  io: CliIo,
): Promise<void> {
  const { call } = session;
  const tty = specOf(container).process.terminal ?? false;
  const streams = await streamsFor(flags, tty, session, io);
  await using undo = new AsyncDisposableStack();
  const task = await container.newTask(
    { io: streams.io, options: restoreOptions(flags.restore) },
    call,
  );
  undo.defer(() => removeProcess(task));
  writePidFile(flags, task.pid);
  if (flags.detach) {
    await task.start(call);
    undo.move();
    session.show({ id: container.id, pid: task.pid }, () => "");
    return;
  }
  const { terminal, isJoined } = streams;
  const exit = await stayWith(task, { terminal, tty, start: true, stdin: isJoined }, call);
  await undo.disposeAsync();
  passOn(exit, io);
}

/**
 * Removes a process that failed to start or has ended; one that still runs, after a --timeout, is left for another
 * command.
 */
async function removeProcess(process: Process): Promise<void> {
  try {
    await process.delete({ signal: timeoutSignal(10_000) });
  } catch (error) {
    if (!isFault(error, "FAILED_PRECONDITION", "NOT_FOUND")) throw error;
    await process.io?.[Symbol.asyncDispose]();
  }
}

function restoreOptions(folder: string | undefined): ProtoAny | null {
  if (folder === undefined) return null;
  return packLight("containerd.runc.v1.Options", { criuImagePath: path.resolve(folder) });
}

async function attach(session: Session, id: string, withStdin: boolean, io: CliIo): Promise<void> {
  const { call } = session;
  const container = await session.containers().loadContainer(id, call);
  if (kindLabel in container.record.labels) {
    throw fault(
      "FAILED_PRECONDITION",
      `container "${id}" is a pod's: what is read here would be missing in its log; use crictl attach`,
    );
  }
  const terminal = terminalOf(io);
  const { stdin, ...outputs } = streamsOf(terminal);
  const join = attachStdio(withStdin ? { ...outputs, stdin } : outputs);
  const task = await container.task(call, async (config) => {
    if (config.stdout !== "" && !config.stdout.includes("://")) return join(config);
    throw fault("FAILED_PRECONDITION", `task "${id}" has no streams that can be joined`);
  });
  await using joined = task.io;
  const tty = joined?.config.terminal ?? false;
  const exit = await stayWith(task, { terminal, tty, start: false, stdin: withStdin }, call);
  await removeProcess(task);
  if (joined) removeFifos(joined.config);
  passOn(exit, io);
}

/** Whoever made the FIFOs may be gone. A folder that holds something else stays. */
function removeFifos({ stdin, stdout, stderr }: IoConfig): void {
  for (const file of [stdin, stdout, stderr]) if (file !== "") rmSync(file, { force: true });
  try {
    rmdirSync(path.dirname(stdout));
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY"].includes(errnoOf(error) ?? "")) throw error;
  }
}

interface ExecFlags extends IoFlags {
  readonly tty: boolean;
  readonly execId?: string;
  readonly cwd?: string;
  readonly user?: string;
  readonly env: readonly string[];
}

async function exec(
  session: Session,
  { id, args }: { readonly id: string; readonly args: readonly string[] },
  flags: ExecFlags,
  io: CliIo,
): Promise<void> {
  const { call } = session;
  const execId = flags.execId ?? `exec-${randomBytes(4).toString("hex")}`;
  checkUsage(() => checkIdentifier("exec id", execId));
  const container = await session.containers().loadContainer(id, call);
  const task = await container.task(call);
  const streams = await streamsFor(flags, flags.tty, session, io);
  const size = streams.terminal.size();
  const spec = execProcess(specOf(container).process, args, flags, size);
  const process = await task.exec(execId, spec, streams.io, call);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => removeProcess(process));
  if (flags.detach) {
    await process.start(call);
    undo.move();
    writePidFile(flags, process.pid);
    session.show({ id, execId, pid: process.pid }, () => `${execId}\n`);
    return;
  }
  const { terminal, isJoined } = streams;
  const options = { terminal, tty: flags.tty, start: true, stdin: isJoined };
  const exit = await stayWith(process, options, call);
  await undo.disposeAsync();
  passOn(exit, io);
}

function execProcess(
  own: OciProcess,
  args: readonly string[],
  flags: ExecFlags,
  size: OciProcess["consoleSize"],
): OciProcess {
  const inherited: readonly string[] = own.env ?? []; // the spec may have been written by somebody who left it out
  const env = [...inherited, ...(flags.tty ? ["TERM=xterm"] : []), ...flags.env];
  const { consoleSize: _other, ...rest } = own;
  return {
    ...rest,
    ...(flags.tty && size && { consoleSize: size }),
    args: [...args],
    env,
    terminal: flags.tty,
    cwd: flags.cwd ?? own.cwd,
    user: flags.user === undefined ? own.user : readUser(flags.user),
  };
}

function readUser(text: string): OciProcess["user"] {
  const match = /^(\d+)(?::(\d+))?$/.exec(text);
  if (!match) throw usageFault(`bad --user "${text}": expected uid or uid:gid`);
  return { uid: Number(match[1]), gid: Number(match[2] ?? 0) };
}

/** The OCI spec in a container's record. FAILED_PRECONDITION when there is none. */
export function specOf({ id, record }: Container): OciSpec {
  if (record.spec) return parseExactJson(record.spec.value.toString()) as OciSpec;
  throw fault("FAILED_PRECONDITION", `container "${id}" has no spec`);
}
