// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import type { Image } from "../../../gen/cri.gen.ts";
import type { CliIo } from "../../cli-io.ts";
import { withCommonFlags, withSession } from "../call-options.ts";
import { bytes, type Column, shortId } from "../table.ts";
import { addCopyCommand } from "./copy-command.ts";
import { addExportCommand } from "./export-command.ts";
import { addHistoryCommand } from "./history-command.ts";
import { addInspectCommand } from "./inspect-command.ts";
import { addLoadCommand } from "./load-command.ts";
import { addPruneCommand } from "./prune-command.ts";
import { addPullCommand } from "./pull-command.ts";
import { addPushCommand } from "./push-command.ts";
import { addRemoveCommand } from "./remove-command.ts";
import { addTagCommand } from "./tag-command.ts";
import { addUntagCommand } from "./untag-command.ts";
import { addVerifyCommand } from "./verify-command.ts";

const timeoutMs = 10_000;
const cri = "runtime.v1.ImageService";

export function addImageCommands(program: Command, io: CliIo): void {
  const image = program
    .command("image")
    .description(
      "list, pull, push, load, export, copy, tag, untag, verify and remove images, and look into them",
    );
  withCommonFlags(image.command("ls"))
    .description("list images, each with a row for every name that it has")
    .option("-q, --quiet", "only their ids, each once", false)
    .action((flags: { readonly quiet: boolean }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const { images } = await session.client(cri).ListImages({}, session.call);
        if (flags.quiet)
          session.show(
            images.map(({ id }) => id),
            linesOf,
          );
        else session.showTable(images.flatMap(rowsOf), imageColumns, images);
      }),
    );
  addLoadCommand(image, io);
  addPullCommand(image, io);
  addRemoveCommand(image, io);
  addInspectCommand(image, io);
  addHistoryCommand(image, io);
  addTagCommand(image, io);
  addUntagCommand(image, io);
  addExportCommand(image, io);
  addCopyCommand(image, io);
  addPruneCommand(image, io);
  addPushCommand(image, io);
  addVerifyCommand(image, io);
}

/** An image under one of its names. */
interface NamedImage {
  readonly name: string;
  readonly image: Image;
}

function rowsOf(image: Image): NamedImage[] {
  const { repoTags, repoDigests } = image;
  const names = repoTags.length > 0 ? repoTags : [repoDigests[0] ?? "<none>"];
  return names.map((name) => ({ name, image }));
}

function linesOf(ids: readonly string[]): string {
  return ids.map((id) => `${id}\n`).join("");
}

const imageColumns: readonly Column<NamedImage>[] = [
  { title: "IMAGE", value: ({ name }) => name },
  { title: "ID", value: ({ image }) => shortId(image.id) },
  { title: "SIZE", value: ({ image }) => bytes(image.size) },
  { title: "PINNED", value: ({ image }) => (image.pinned ? "yes" : "") },
];
