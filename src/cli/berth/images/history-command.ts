// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import type { CliIo } from "../../cli-io.ts";
import { withNamespaceFlag, withSession } from "../call-options.ts";
import { age, bytes, type Column } from "../table.ts";
import type { Step } from "./image-history.ts";

const timeoutMs = 30_000;

export function addHistoryCommand(image: Command, io: CliIo): void {
  withNamespaceFlag(image.command("history <reference>"))
    .description("list how an image was made, the last step first, with the sizes of its layers")
    .option("--snapshotter <name>", "where its layers are unpacked", "overlayfs")
    .option("--no-trunc", "whole commands")
    .action((reference: string, flags: { snapshotter: string; trunc: boolean }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const { stepsOf } = await import("./image-history.ts");
        const steps = await stepsOf(session, reference, flags.snapshotter);
        session.showTable(steps, columnsOf(flags.trunc));
      }),
    );
}

const shownChars = 60;

function columnsOf(isShort: boolean): readonly Column<Step>[] {
  const shortened = (text: string): string =>
    isShort && text.length > shownChars ? `${text.slice(0, shownChars - 1)}…` : text;
  return [
    { title: "CREATED", value: ({ created }) => ageOf(created) },
    { title: "CREATED BY", value: ({ createdBy }) => shortened(createdBy) },
    { title: "SIZE", value: ({ size }) => (size === undefined ? "-" : bytes(size)) },
    { title: "COMMENT", value: ({ comment }) => shortened(comment) },
  ];
}

/** Tools that make the same image of the same sources write the first second there is for them: 1970's, or Go's. */
function ageOf(created: string): string {
  const then = Date.parse(created);
  return then > 0 ? `${age(Date.now() - then)} ago` : "-";
}
