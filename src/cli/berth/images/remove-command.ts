// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import type { Container } from "../../../gen/cri.gen.ts";
import type { CliIo } from "../../cli-io.ts";
import { printable } from "../../printable.ts";
import { withCommonFlags, withSession } from "../call-options.ts";
import { jsonOf } from "../json.ts";
import { shortId } from "../table.ts";
import { EachImage } from "./each-image.ts";

export function addRemoveCommand(image: Command, io: CliIo): void {
  withCommonFlags(image.command("rm <reference...>"))
    .description(
      "remove images, with every name they have; berth image untag takes away names alone",
    )
    .action((references: string[], _flags, command: Command) =>
      withSession(command, io, 60_000, async (session) => {
        const images = session.client("runtime.v1.ImageService");
        const each = new EachImage(session.namespace);
        // One with several names among them goes once.
        const wanted = new Map<string, readonly string[]>();
        for (const reference of references) {
          await each.try(async () => {
            const request = { image: { image: reference } };
            const { image: found } = await images.ImageStatus(request, session.call);
            if (!found) return each.isMissing(reference);
            const names = [...found.repoTags, ...found.repoDigests];
            wanted.set(found.id, names.length > 0 ? names : [reference]);
          });
        }
        const removed: string[] = [];
        try {
          const { containers } =
            wanted.size > 0
              ? await session.client("runtime.v1.RuntimeService").ListContainers({}, session.call)
              : { containers: [] };
          for (const [id, names] of wanted) {
            await each.try(async () => {
              await images.RemoveImage({ image: { image: id } }, session.call);
              removed.push(id);
              const users = containers.filter(({ imageId }) => imageId === id);
              if (users.length > 0) io.error(printable(stillUsed(id, users)));
              if (session.json) return;
              io.out(printable(names.map((name) => `removed ${name} (${shortId(id)})\n`).join("")));
            });
          }
        } finally {
          if (session.json) io.out(jsonOf({ removed }));
        }
        each.throwFirst();
      }),
    );
}

/** How many containers are named. */
const mostNamed = 10;

function stillUsed(id: string, users: readonly Container[]): string {
  const named = users.slice(0, mostNamed).map((one) => shortId(one.id));
  const more = users.length > mostNamed ? `, and ${users.length - mostNamed} more` : "";
  const [what, goOn] =
    users.length === 1
      ? ["container", "which goes on with what it has"]
      : ["containers", "which go on with what they have"];
  return `warning: ${shortId(id)} is used by ${what} ${named.join(", ")}${more}, ${goOn}\n`;
}
