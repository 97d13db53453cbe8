// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault, isFault } from "../../../base/errors.ts";
import { isDigest } from "../../../content/digest.ts";
import type { CliIo } from "../../cli-io.ts";
import { printable } from "../../printable.ts";
import { type Session, withNamespaceFlag, withSession } from "../call-options.ts";
import { jsonOf } from "../json.ts";
import { EachImage } from "./each-image.ts";

export function addUntagCommand(image: Command, io: CliIo): void {
  withNamespaceFlag(image.command("untag <reference...>"))
    .description("take names away from images, each of which keeps another; the images stay")
    .action((references: string[], _flags, command: Command) =>
      withSession(command, io, 60_000, async (session) => {
        const each = new EachImage(session.namespace);
        const untagged: string[] = [];
        try {
          for (const reference of references) {
            await each.try(async () => {
              const name = await untag(session, reference);
              if (name === undefined) return each.isMissing(reference);
              untagged.push(name);
              if (!session.json) io.out(printable(`untagged ${name}\n`));
            });
          }
        } finally {
          if (session.json) io.out(jsonOf({ untagged }));
        }
        each.throwFirst();
      }),
    );
}

/** The name that is gone; undefined where no image has it. */
async function untag(session: Session, reference: string): Promise<string | undefined> {
  const { findRecord } = await import("./image-record.ts");
  const images = session.client("containerd.services.images.v1.Images");
  const found = await findRecord(session, reference).catch((error: unknown) => {
    if (!isFault(error, "NOT_FOUND")) throw error;
  });
  if (!found) return undefined;
  const { name, target } = found;
  if (isDigest(name)) {
    throw fault(
      "FAILED_PRECONDITION",
      `"${reference}" is an image's id, not a name of it: berth image rm removes the image`,
    );
  }
  const { images: same } = await images.List(
    { filters: [`target.digest==${target.digest}`] },
    session.scoped,
  );
  if (!same.some((other) => other.name !== name && !isDigest(other.name))) {
    throw fault(
      "FAILED_PRECONDITION",
      `"${name}" is the only name of its image: berth image rm removes the image`,
    );
  }
  await images.Delete({ name }, session.scoped);
  return name;
}
