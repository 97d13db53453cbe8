// SPDX-License-Identifier: Apache-2.0
import { Command } from "commander";
import { version } from "../base/version.ts";
import { withNamespaceFlag } from "./berth/call-options.ts";
import { addCompletionCommands } from "./berth/completion-commands.ts";
import { addContainerCommands } from "./berth/container-commands.ts";
import { addDaemonCommands } from "./berth/daemon-commands.ts";
import { addDoctorCommand } from "./berth/doctor-command.ts";
import { addEventCommands } from "./berth/event-commands.ts";
import { addImageCommands } from "./berth/images/image-commands.ts";
import { addMigrateCommand } from "./berth/migrate-command.ts";
import { addNamespaceCommands } from "./berth/namespace-commands.ts";
import { addNriCommands } from "./berth/nri-commands.ts";
import { addPodCommands } from "./berth/pod-commands.ts";
import { addSupportCommand } from "./berth/support-command.ts";
import { addTaskCommands } from "./berth/task-commands.ts";
import type { CliIo } from "./cli-io.ts";
import { addStreamingCommands } from "./streaming/add-streaming-commands.ts";

/** The client's command line. */
export function buildBerth(io: CliIo): Command {
  // Positional: `berth run IMAGE ID ls -a` leaves -a to ls.
  const program = withNamespaceFlag(new Command("berth"))
    .enablePositionalOptions()
    .description(
      "Berth's client: pods and images as the kubelet has them, and containers, tasks, events and namespaces as containerd has them. crictl and ctr work on the same socket.",
    )
    .version(`berth ${version}`, "-v, --version", "print the client's version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", examples);
  addDaemonCommands(program, io);
  addDoctorCommand(program, io);
  addSupportCommand(program, io);
  addMigrateCommand(program, io);
  addPodCommands(program, io);
  addImageCommands(program, io);
  addContainerCommands(program, io);
  addTaskCommands(program, io);
  addEventCommands(program, io);
  addNamespaceCommands(program, io);
  addNriCommands(program, io);
  addStreamingCommands(program, io);
  addCompletionCommands(program, io);
  return program;
}

const examples = `
Examples:
  berth status
  berth doctor
  berth migrate --node worker-1 --dry-run
  berth pod ls
  berth pod inspect 4f1c
  berth nri ls
  berth image load ./busybox.tar
  berth exec -it web sh
  berth port-forward web 8080:80
  berth run --rm -t docker.io/library/busybox:1 try sh
  berth events --filter topic==/tasks/exit --json
  BERTH_ADDRESS=/tmp/b/berthd.sock berth ps --all --json
`;
