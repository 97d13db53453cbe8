// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import { fault, isFault } from "../../../base/errors.ts";
import type { CliIo } from "../../cli-io.ts";
import { type Session, withCommonFlags, withSession } from "../call-options.ts";
import {
  openProgress,
  type ProgressFlags,
  type ProgressView,
  withProgressFlag,
} from "./progress-view.ts";
import { type Login, type LoginFlags, readLogin, withLoginFlags } from "./registry-login.ts";

type Flags = LoginFlags & ProgressFlags;

export function addPullCommand(image: Command, io: CliIo): void {
  withProgressFlag(withLoginFlags(withCommonFlags(image.command("pull <reference>"))))
    .description(
      "pull an image from its registry; one that is interrupted ends, unless others wait for it too",
    )
    .action((reference: string, flags: Flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const login = await readLogin(flags, io);
        const imageRef = await pulled(session, reference, login, () => openProgress(flags, io));
        session.show({ imageRef }, () => `pulled ${reference}: ${imageRef}\n`);
      }),
    );
}

async function pulled(
  session: Session,
  image: string,
  login: Login | null,
  open: () => ProgressView,
): Promise<string> {
  using view = open();
  try {
    const answers = session.client("berth.v1.Images").Pull({ image, login }, session.call);
    for await (const { steps, pulled: end } of answers) {
      view.update(steps);
      if (end) return end.id;
    }
  } catch (error) {
    if (!isFault(error, "UNIMPLEMENTED")) throw error;
    // A daemon that was there before this command.
    const request = { image: { image }, auth: login };
    const cri = session.client("runtime.v1.ImageService");
    return (await cri.PullImage(request, session.call)).imageRef;
  }
  throw fault("UNKNOWN", "the daemon ended the answer before the pull was done");
}
