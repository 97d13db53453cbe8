// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault } from "../../../base/errors.ts";
import type { BerthPushedImage } from "../../../gen/berth.gen.ts";
import type { CliIo } from "../../cli-io.ts";
import { printableLine } from "../../printable.ts";
import { withCommonFlags, withSession } from "../call-options.ts";
import { type LoginFlags, readLogin, withLoginFlags } from "./registry-login.ts";

interface Flags extends LoginFlags {
  readonly platform?: string;
  readonly allPlatforms: boolean;
  readonly allowNondistributable: boolean;
}

export function addPushCommand(image: Command, io: CliIo): void {
  withLoginFlags(withCommonFlags(image.command("push <reference> [name]")))
    .description("push an image to its registry, or under another name to that name's registry")
    .option("--platform <os/arch>", "of an image for several platforms, push this one alone")
    .option("--all-platforms", "push all of them, and fail where one is not here", false)
    .option("--allow-nondistributable", "push layers too that must not be distributed", false)
    .action((reference: string, name: string | undefined, flags: Flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const login = await readLogin(flags, io);
        const answers = session.client("berth.v1.Images").Push(
          {
            image: reference,
            destination: name ?? "",
            platform: flags.platform ?? "",
            allPlatforms: flags.allPlatforms,
            nonDistributable: flags.allowNondistributable,
            login,
          },
          session.call,
        );
        let result: BerthPushedImage | undefined;
        for await (const { pushed } of answers) result = pushed ?? result;
        if (!result) throw fault("UNKNOWN", "the daemon ended the answer before the push was done");
        if (result.left.length > 0) io.error(noteOf(result));
        session.show(result, (one) => `pushed ${one.name}: ${one.digest}\n`);
      }),
    );
}

function noteOf({ left }: BerthPushedImage): string {
  const are = left.length === 1 ? "is" : "are";
  return `${printableLine(`berth: ${left.join(", ")} of the image ${are} not on this node, and not pushed`)}\n`;
}
