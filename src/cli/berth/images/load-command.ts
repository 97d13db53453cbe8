// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Command } from "commander";
import { fault, isFault } from "../../../base/errors.ts";
import type { BerthLoadedImage } from "../../../gen/berth.gen.ts";
import type { CliIo } from "../../cli-io.ts";
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
      "load an OCI layout (folder or tar) or a `docker save` tar that is on the daemon's machine",
    )
    .option("--name <name>", "name for an image whose archive carries none")
    .action((file: string, flags: Flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const request = { path: path.resolve(file), name: flags.name ?? "" };
        const images = await loaded(session, request, () => openProgress(flags, io));
        session.show({ images }, () =>
          images.map(({ id, names }) => `loaded ${names.join(", ") || id}\n`).join(""),
        );
      }),
    );
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
