// SPDX-License-Identifier: Apache-2.0
import type { Command } from "commander";
import type { CliIo } from "../cli-io.ts";
import { addCopyCommand } from "./copy-command.ts";
import { addExecCommands } from "./exec-commands.ts";
import { addLogsCommand } from "./logs-command.ts";
import { addPortForwardCommand } from "./port-forward-command.ts";

/** The commands that work in a running container: exec, attach, cp, logs, port-forward. */
export function addStreamingCommands(program: Command, io: CliIo): void {
  addExecCommands(program, io);
  addCopyCommand(program, io);
  addLogsCommand(program, io);
  addPortForwardCommand(program, io);
}
