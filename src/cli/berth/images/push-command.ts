// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault } from "../../../base/errors.ts";
import type { BerthPushedImage, BerthPushResponse } from "../../../gen/berth.gen.ts";
import type { CliIo } from "../../cli-io.ts";
import { printableLine } from "../../printable.ts";
import { usageFault } from "../../usage-fault.ts";
import { withCommonFlags, withSession } from "../call-options.ts";
import { checkPlatformFlag } from "./platform-flag.ts";
import {
  openProgress,
  type ProgressFlags,
  type ProgressView,
  withProgressFlag,
} from "./progress-view.ts";
import { type LoginFlags, readLogin, withLoginFlags } from "./registry-login.ts";

interface Flags extends LoginFlags, ProgressFlags {
  readonly platform?: string;
  readonly allPlatforms: boolean;
  readonly allowNondistributable: boolean;
}

export function addPushCommand(image: Command, io: CliIo): void {
  withProgressFlag(withLoginFlags(withCommonFlags(image.command("push <reference> [name]"))))
    .description("push an image to its registry, or under another name to that name's registry")
    .option("--platform <os/arch>", "of an image for several platforms, push this one alone")
    .option("--all-platforms", "push all of them, and fail where one is not here", false)
    .option("--allow-nondistributable", "push layers too that must not be distributed", false)
    .action((reference: string, name: string | undefined, flags: Flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        if (flags.allPlatforms && flags.platform !== undefined) {
          throw usageFault("either one platform is pushed, or all");
        }
        await checkPlatformFlag(flags.platform);
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
        const result = await lastOf(answers, openProgress(flags, io));
        if (!result) throw fault("UNKNOWN", "the daemon ended the answer before the push was done");
        if (result.left.length > 0) io.error(noteOf(result));
        session.show(result, (one) => `pushed ${one.name}: ${one.digest}\n`);
      }),
    );
}

async function lastOf(
  answers: AsyncIterable<BerthPushResponse>,
  opened: ProgressView,
): Promise<BerthPushedImage | undefined> {
  using view = opened;
  let result: BerthPushedImage | undefined;
  for await (const { steps, pushed } of answers) {
    view.update(steps);
    result = pushed ?? result;
  }
  return result;
}

function noteOf({ left }: BerthPushedImage): string {
  const are = left.length === 1 ? "is" : "are";
  return `${printableLine(`berth: ${left.join(", ")} of the image ${are} not on this node, and not pushed`)}\n`;
}
