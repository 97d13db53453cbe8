// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import type { CliIo } from "../../cli-io.ts";
import { printable } from "../../printable.ts";
import { withCommonFlags, withSession } from "../call-options.ts";
import { jsonOf } from "../json.ts";
import { unknownImages } from "./unknown-images.ts";

const timeoutMs = 10_000;

export function addInspectCommand(image: Command, io: CliIo): void {
  withCommonFlags(image.command("inspect <reference>"))
    .description("print an image's names, digests, size and document, as JSON")
    .action((reference: string, _flags, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const request = { image: { image: reference }, verbose: true };
        const { image: status, info } = await session
          .client("runtime.v1.ImageService")
          .ImageStatus(request, session.call);
        if (!status) throw unknownImages([reference], session.namespace);
        const told: unknown = JSON.parse(info["info"] ?? "{}");
        io.out(printable(jsonOf({ status, info: told })));
      }),
    );
}
