// SPDX-License-Identifier: Apache-2.0
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { isAbort } from "../../../base/errors.ts";
import type { CliIo } from "../../cli-io.ts";
import { untilInterrupted } from "../../interruption.ts";
import { processTerminal } from "../../terminal.ts";
import { usageFault } from "../../usage-fault.ts";
import { withNamespaceFlag, withSession } from "../call-options.ts";
import { checkPlatformFlag } from "./platform-flag.ts";

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
        if (flags.allPlatforms && flags.platform !== undefined) {
          throw usageFault("either one platform is exported, or all");
        }
        await checkPlatformFlag(flags.platform);
        const { archiveOutput, writeOutput } = await import("../output-file.ts");
        const standard = archiveOutput(output, io);
        const { archiveBytes, planArchive } = await import("./export-archive.ts");
        const { findRecord } = await import("./image-record.ts");
        const records = await Promise.all(references.map((one) => findRecord(session, one)));
        const plan = await planArchive(session, records, flags);
        const terminal = (io.terminal ?? processTerminal)();
        using work = untilInterrupted(terminal, session.call.signal);
        const { signal } = work;
        const bytes = Readable.from(archiveBytes(session, plan), { objectMode: false });
        const send = async (sink: Writable): Promise<void> => {
          try {
            await pipeline(bytes, sink, { signal });
          } catch (error) {
            throw isAbort(error) && signal.aborted ? signal.reason : error;
          }
        };
        if (standard) await send(standard);
        else await writeOutput(output ?? "-", send);
      }),
    );
}
