// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { createWriteStream, type Stats } from "node:fs";
import { realpath, rename, rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { errnoOf, fault } from "../../../base/errors.ts";
import type { CliIo } from "../../cli-io.ts";
import { processTerminal } from "../../terminal.ts";
import { withNamespaceFlag, withSession } from "../call-options.ts";

interface Flags {
  readonly output?: string;
  readonly allPlatforms: boolean;
  readonly platform?: string;
}

export function addExportCommand(image: Command, io: CliIo): void {
  withNamespaceFlag(image.command("export <reference...>"))
    .description(
      "write images as a tar: an OCI layout that `berth image load` and skopeo take, and `docker load` too without --all-platforms",
    )
    .option("-o, --output <file>", "write there, and not to standard output")
    .option("--platform <os/arch>", "of this platform, not of this machine's")
    .option("--all-platforms", "of every platform, not only this machine's", false)
    .action((references: string[], flags: Flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const { output } = flags;
        const isStandard = output === undefined || output === "-";
        if (flags.allPlatforms && flags.platform !== undefined) {
          throw fault("INVALID_ARGUMENT", "either one platform is exported, or all");
        }
        const terminal = (io.terminal ?? processTerminal)();
        if (isStandard && terminal.size() !== undefined) {
          throw fault(
            "INVALID_ARGUMENT",
            "an archive is not for a terminal: name a file with --output, or redirect standard output",
          );
        }
        const { archiveBytes, planArchive } = await import("./export-archive.ts");
        const { findRecord } = await import("./image-record.ts");
        const records = await Promise.all(references.map((one) => findRecord(session, one)));
        const plan = await planArchive(session, records, flags);
        const stop = new AbortController();
        using _signals = terminal.onSignal((name) => stop.abort(fault("CANCELLED", name)));
        const signal = AbortSignal.any([session.call.signal, stop.signal]);
        const bytes = Readable.from(archiveBytes(session, plan), { objectMode: false });
        const send = (sink: NodeJS.WritableStream): Promise<void> =>
          pipeline(bytes, sink, { signal });
        if (isStandard) await send(terminal.stdout);
        else await writeFile(output, send);
      }),
    );
}

type Send = (sink: NodeJS.WritableStream) => Promise<void>;

/**
 * A file appears under its name when it is whole, through a link where its target is. What is no file (a pipe, a device)
 * is written to as it is.
 */
async function writeFile(output: string, send: Send): Promise<void> {
  const there = await statOf(output);
  if (there !== undefined && !there.isFile()) {
    await send(createWriteStream(output));
    return;
  }
  const target = there === undefined ? output : await realpath(output);
  const partial = `${target}.${randomBytes(4).toString("hex")}.partial`;
  try {
    await send(createWriteStream(partial, { flags: "wx", flush: true }));
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function statOf(name: string): Promise<Stats | undefined> {
  try {
    return await stat(name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
