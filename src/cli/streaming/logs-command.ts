// SPDX-License-Identifier: Apache-2.0

import { type FileHandle, open, stat } from "node:fs/promises";
import type { Command } from "commander";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault } from "../../base/errors.ts";
import { systemWords } from "../../base/system-words.ts";
import { sleep } from "../../base/timers.ts";
import { parseDuration } from "../../config/quantity.ts";
import { type Session, withCommonFlags, withSession } from "../berth/call-options.ts";
import type { CliIo } from "../cli-io.ts";
import { usageFault } from "../usage-fault.ts";
import { findContainer } from "./find-object.ts";
import { LogReader } from "./log-reader.ts";

interface LogsFlags {
  readonly follow?: boolean;
  readonly tail?: string;
  readonly since?: string;
  readonly timestamps?: boolean;
}

const cri = "runtime.v1.RuntimeService";
const lookAgainMs = 200;

export function addLogsCommand(program: Command, io: CliIo): void {
  withCommonFlags(program.command("logs <container>"))
    .summary("print what a container has written")
    .description(
      "print what a container has written, its stderr on ours. Reads the log file, so it must be run on the daemon's machine; rotated files are not looked at",
    )
    .option("-f, --follow", "go on until the container ends")
    .option("--tail <lines>", "only the last lines")
    .option("--since <duration>", "only what was written this long ago or later, such as 10m")
    .option("--timestamps", "put the time before each line")
    .action((name: string, flags: LogsFlags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const reader = new LogReader(io, {
          tail: readCount(flags.tail),
          sinceMs: flags.since === undefined ? undefined : Date.now() - readAge(flags.since),
          timestamps: flags.timestamps ?? false,
        });
        const { id } = await findContainer(session, name);
        await print(session, id, reader, flags.follow ?? false);
      }),
    );
}

async function print(
  session: Session,
  containerId: string,
  reader: LogReader,
  follow: boolean,
): Promise<void> {
  const { logPath } = await statusOf(session, containerId);
  if (logPath === "") throw fault("NOT_FOUND", `container "${containerId}" has no log`);
  let file = await openLog(logPath);
  try {
    for (;;) {
      // Asked before reading: when the container has ended, all its output is in the file.
      const ended = (await statusOf(session, containerId)).state !== "CONTAINER_RUNNING";
      await readOn(file, reader, session.call);
      reader.caughtUp();
      if (!follow || ended) break;
      await sleep(lookAgainMs, session.call);
      if (!(await isSame(file, logPath))) {
        await readOn(file, reader, session.call);
        const next = await openLog(logPath).catch(() => undefined); // rotation has moved the file and not made the next one yet
        if (next === undefined) continue;
        await file.close();
        file = next;
      }
    }
  } finally {
    await file.close();
  }
}

async function statusOf(session: Session, containerId: string) {
  const { status } = await session.promptly((call) =>
    session.client(cri).ContainerStatus({ containerId }, call),
  );
  if (status) return status;
  throw fault("NOT_FOUND", `container "${containerId}" not found`);
}

async function openLog(logPath: string): Promise<FileHandle> {
  try {
    return await open(logPath, "r");
  } catch (cause) {
    const reason =
      errnoOf(cause) === "ENOENT" ? "it is not there" : (systemWords(cause) ?? "failed");
    throw fault("NOT_FOUND", `cannot read the log ${logPath}: ${reason}`, { cause });
  }
}

async function readOn(file: FileHandle, reader: LogReader, { signal }: Cancellable): Promise<void> {
  const buffer = Buffer.allocUnsafe(64 * 1024);
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    reader.push(buffer.subarray(0, bytesRead));
  }
}

async function isSame(file: FileHandle, logPath: string): Promise<boolean> {
  const [ours, theirs] = await Promise.all([file.stat(), stat(logPath).catch(() => undefined)]);
  return theirs === undefined || (ours.ino === theirs.ino && ours.dev === theirs.dev);
}

function readCount(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw usageFault(`bad --tail "${text}": expected a number of lines`);
}

function readAge(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined && milliseconds >= 0) return milliseconds;
  throw usageFault(`bad --since "${text}": expected a duration such as 10m`);
}
