// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { lstat, rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { errnoOf, fault } from "../../../base/errors.ts";
import type { CliIo } from "../../cli-io.ts";
import { processTerminal } from "../../terminal.ts";
import { type Session, withNamespaceFlag, withSession } from "../call-options.ts";
import { archiveBytes, type PlannedArchive, planArchive } from "./export-archive.ts";
import { findRecord } from "./image-record.ts";

interface Flags {
  readonly output?: string;
  readonly allPlatforms: boolean;
}

export function addExportCommand(image: Command, io: CliIo): void {
  withNamespaceFlag(image.command("export <reference...>"))
    .description(
      "write images as a tar: an OCI layout that `berth image load`, `ctr image import`, `docker load` and skopeo take",
    )
    .option("-o, --output <file>", "write there, and not to standard output")
    .option("--all-platforms", "of every platform, not only this machine's", false)
    .action((references: string[], flags: Flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const { output } = flags;
        const isStandard = output === undefined || output === "-";
        const terminal = (io.terminal ?? processTerminal)();
        if (isStandard && terminal.size() !== undefined) {
          throw fault(
            "INVALID_ARGUMENT",
            "an archive is not for a terminal: name a file with --output, or redirect standard output",
          );
        }
        const records = await Promise.all(references.map((one) => findRecord(session, one)));
        const plan = await planArchive(session, records, flags);
        if (isStandard) await send(session, plan, terminal.stdout);
        else await writeArchive(session, plan, output);
      }),
    );
}

/** A file appears under its name when it is whole; what is no file (a pipe, a device) is written to as it is. */
async function writeArchive(session: Session, plan: PlannedArchive, output: string): Promise<void> {
  if (!(await isFileOrNothing(output))) {
    await send(session, plan, createWriteStream(output));
    return;
  }
  const partial = `${output}.${randomBytes(4).toString("hex")}.partial`;
  try {
    await send(session, plan, createWriteStream(partial, { flags: "wx" }));
    await rename(partial, output);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function isFileOrNothing(name: string): Promise<boolean> {
  try {
    return (await lstat(name)).isFile();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return true;
    throw error;
  }
}

async function send(
  session: Session,
  plan: PlannedArchive,
  sink: NodeJS.WritableStream,
): Promise<void> {
  const bytes = Readable.from(archiveBytes(session, plan), { objectMode: false });
  await pipeline(bytes, sink, { signal: session.call.signal });
}
