// SPDX-License-Identifier: Apache-2.0
import { Command } from "commander";
import { version } from "../../base/version.ts";
import type { CliIo } from "../cli-io.ts";
import { withCommonFlags } from "./call-options.ts";
import { addDaemonCommands } from "./daemon-commands.ts";
import { addImageCommands } from "./image-commands.ts";
import { addPodCommands } from "./pod-commands.ts";

/** The client's command line. */
export function buildBerth(io: CliIo): Command {
  const program = withCommonFlags(new Command("berth"))
    .description(
      "Berth's client: shows and loads what a running berthd has. For containers' lifecycles use crictl, for tasks ctr: both work on the same socket.",
    )
    .version(`berth ${version}`, "-v, --version", "print the client's version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .showHelpAfterError("Run 'berth --help' for the commands and flags.")
    .addHelpText("after", examples);
  addDaemonCommands(program, io);
  addPodCommands(program, io);
  addImageCommands(program, io);
  return program;
}

const examples = `
Examples:
  berth status
  berth pod ls
  berth pod inspect 4f1c
  berth image load ./busybox.tar
  BERTH_ADDRESS=/tmp/b/berthd.sock berth ps --all --json
`;
