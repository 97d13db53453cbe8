// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault, isFault } from "../../../base/errors.ts";
import type { BerthLoadedImage } from "../../../gen/berth.gen.ts";
import type { CliIo } from "../../cli-io.ts";
import { processTerminal } from "../../terminal.ts";
import { type Session, withCommonFlags, withSession } from "../call-options.ts";
import {
  openProgress,
  type ProgressFlags,
  type ProgressView,
  withProgressFlag,
} from "./progress-view.ts";

interface Flags extends ProgressFlags {
  readonly name?: string;
}

export function addLoadCommand(image: Command, io: CliIo): void {
  withProgressFlag(withCommonFlags(image.command("load <file>").alias("import")))
    .description(
      "load an OCI layout (folder or tar) or a `docker save` tar, plain or compressed, that is on the daemon's machine; - reads it from standard input",
    )
    .option(
      "--name <name>",
      "full name, as in registry.example.com/app:1, in place of those that the archive has; of several images, what their tags there are added to",
    )
    .action((file: string, flags: Flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const { spooledArchive } = await import("./spooled-archive.ts");
        const terminal = (io.terminal ?? processTerminal)();
        using archive = await spooledArchive(file, terminal, session.call);
        const request = { path: archive.path, name: flags.name ?? "" };
        const images = await loaded(session, request, () => openProgress(flags, io)).catch(
          (error: unknown) => {
            const name = file === "-" ? "standard input" : file;
            throw archive.isSpooled ? renamed(error, archive.path, name) : error;
          },
        );
        session.show({ images }, () =>
          images.map(({ id, names }) => `loaded ${names.join(", ") || id}\n`).join(""),
        );
      }),
    );
}

/** Nobody knows what was typed by the path that the daemon was given. */
function renamed(error: unknown, given: string, name: string): unknown {
  if (!isFault(error)) return error;
  return fault(error.code, error.message.replaceAll(given, name), { cause: error });
}

async function loaded(
  session: Session,
  request: { readonly path: string; readonly name: string },
  open: () => ProgressView,
): Promise<readonly BerthLoadedImage[]> {
  using view = open();
  const service = session.client("berth.v1.Images");
  try {
    for await (const { steps, loaded: end } of service.LoadWatched(request, session.call)) {
      view.update(steps);
      if (end) return end.images;
    }
  } catch (error) {
    if (!isFault(error, "UNIMPLEMENTED")) throw error;
    // A daemon that was there before this command.
    return (await service.Load(request, session.call)).images;
  }
  throw fault("UNKNOWN", "the daemon ended the answer before the images were loaded");
}
