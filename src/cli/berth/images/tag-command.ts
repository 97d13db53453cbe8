// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault, isFault } from "../../../base/errors.ts";
import { canonicalName, parseReference } from "../../../images/reference.ts";
import type { CliIo } from "../../cli-io.ts";
import { usageFault } from "../../usage-fault.ts";
import { withNamespaceFlag, withSession } from "../call-options.ts";

const timeoutMs = 10_000;

export function addTagCommand(image: Command, io: CliIo): void {
  withNamespaceFlag(image.command("tag <reference> <name>"))
    .description("give an image one more name")
    .option("-f, --force", "take the name from the image that has it", false)
    .action((reference: string, wanted: string, flags: { force: boolean }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const { findRecord } = await import("./image-record.ts");
        const parsed = parseReference(wanted);
        if (parsed.digest !== undefined) {
          throw usageFault(
            `bad name "${wanted}": a digest is what an image has, not what it is called`,
          );
        }
        const name = canonicalName(parsed);
        const { target, labels } = await findRecord(session, reference);
        const images = session.client("containerd.services.images.v1.Images");
        const tagged = { name, target, labels };
        try {
          await images.Create({ image: tagged }, session.scoped);
        } catch (error) {
          if (!isFault(error, "ALREADY_EXISTS")) throw error;
          const { image: there } = await images.Get({ name }, session.scoped);
          if (!flags.force && there?.target?.digest !== target.digest) {
            throw fault("ALREADY_EXISTS", `"${name}" is an image already: --force takes its name`, {
              cause: error,
            });
          }
          await images.Update({ image: tagged }, session.scoped);
        }
        session.show({ name, target: target.digest }, () => `${name}\n`);
      }),
    );
}
