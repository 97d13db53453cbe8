// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault } from "../../../base/errors.ts";
import type { BerthDamage, BerthVerifyCounts } from "../../../gen/berth.gen.ts";
import type { CliIo } from "../../cli-io.ts";
import { printableLine } from "../../printable.ts";
import { withCommonFlags, withSession } from "../call-options.ts";
import { jsonOf } from "../json.ts";

export function addVerifyCommand(image: Command, io: CliIo): void {
  withCommonFlags(image.command("verify [reference]"))
    .description(
      "hold what the disk has of an image, or of all, against what was pulled; what is damaged is dropped, and the next pull or use brings it again",
    )
    .action((reference: string | undefined, _flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const damages: BerthDamage[] = [];
        let looked: BerthVerifyCounts | undefined;
        const answers = session
          .client("berth.v1.Images")
          .Verify({ image: reference ?? "" }, session.call);
        for await (const { damage, counts } of answers) {
          looked = counts ?? looked;
          if (!damage) continue;
          damages.push(damage);
          if (!session.json) io.out(lineOf(damage));
        }
        if (!looked)
          throw fault("UNKNOWN", "the daemon ended the answer before it had looked at all");
        if (session.json) io.out(jsonOf({ damages, ...looked }));
        else io.out(totalOf(looked));
        if (damages.length > 0) {
          throw fault(
            "DATA_LOSS",
            `what the disk has is damaged in ${count(damages.length, "place")}`,
          );
        }
      }),
    );
}

function lineOf({ images, object, problem, dropped }: BerthDamage): string {
  const end = dropped ? "; dropped, the next pull or use brings it again" : "";
  return `${printableLine(`${images.join(", ")}: ${object}: ${problem}${end}`)}\n`;
}

function totalOf({ images, blobs, layers }: BerthVerifyCounts): string {
  return `looked at ${count(images, "image")}: ${count(blobs, "blob")}, ${count(layers, "layer")}\n`;
}

function count(many: number, what: string): string {
  return `${many} ${what}${many === 1 ? "" : "s"}`;
}
