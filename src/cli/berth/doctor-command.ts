// SPDX-License-Identifier: Apache-2.0
import { statSync } from "node:fs";
import path from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { version } from "../../base/version.ts";
import { layoutOf, usualFolders } from "../../config/layout.ts";
import { type CheckName, checkNames } from "../../doctor/check-names.ts";
import type { CheckResult } from "../../doctor/run-checks.ts";
import type { CliIo } from "../cli-io.ts";
import { CommandExit } from "../command-exit.ts";
import { printable } from "../printable.ts";
import { socketPath } from "../socket-path.ts";
import { refuseSessionFlags } from "./call-options.ts";
import { jsonOf } from "./json.ts";
import { renderFindings, summaryOf } from "./render-findings.ts";

interface DoctorFlags {
  readonly address?: string;
  readonly all: boolean;
  readonly config?: string;
  readonly fix: boolean;
  readonly host?: string;
  readonly json?: boolean;
  readonly kubeconfig?: string;
  readonly only?: readonly CheckName[];
  readonly strict: boolean;
}

const help = `
Exit status: 0 when no check found an error, 1 when one did (with --strict also
for a warning), 2 when the command line is wrong.

Each check has an end, also when berthd or a file system hangs. Nothing is
changed without --fix, which removes what is left of pods that are gone: only
what berthd has made and does not know any more, and nothing that is younger
than a minute.
`;

export function addDoctorCommand(program: Command, io: CliIo): void {
  program
    .command("doctor")
    .description(
      "look for what is wrong on this node, also while berthd does not run: each finding says what is wrong, what it leads to and the command that mends it; exits 1 when there is an error",
    )
    .option(
      "-a, --address <path>",
      `berthd's socket (default: $BERTH_ADDRESS, else the configured one, ${layoutOf(usualFolders).socket})`,
    )
    .option(
      "-c, --config <file>",
      "berthd's configuration file (default: that of the berthd at the socket, else /etc/berthd/config.toml)",
    )
    .option(
      "--host <folder>",
      "where the node's root file system is, as /host in a pod of kubectl debug node/NAME",
    )
    .option(
      "--kubeconfig <file>",
      "ask the API server for RuntimeClasses whose handler this node lacks (default: that of [kubernetes])",
    )
    .addOption(onlyOption())
    .option("--all", "show what is as it should be, too", false)
    .option("--fix", "first remove what is left of pods that are gone, with a line for each", false)
    .option("--strict", "exit 1 for warnings, too", false)
    .option("--json", "print JSON")
    .addHelpText("after", help)
    .action((own: DoctorFlags, command: Command) => {
      refuseSessionFlags(command);
      const flags: DoctorFlags = { ...command.parent?.opts(), ...own };
      const { host } = flags;
      const isThere =
        host === undefined || statSync(host, { throwIfNoEntry: false })?.isDirectory();
      if (isThere !== true) command.error(`error: there is no folder ${host}`, { exitCode: 2 });
      return doctor(flags, io);
    });
}

/** `--only cni disk`, and `--only cni,disk`. */
function onlyOption(): Option {
  const option = new Option("--only <checks...>", "run these checks alone");
  const wanted: CheckName[] = [];
  option.choices(checkNames).argParser((words: string) => {
    for (const word of words.split(",")) {
      const name = checkNames.find((each) => each === word);
      if (name === undefined)
        throw new InvalidArgumentError(`Allowed choices are ${checkNames.join(", ")}.`);
      wanted.push(name);
    }
    return wanted;
  });
  return option;
}

async function doctor(flags: DoctorFlags, io: CliIo): Promise<void> {
  const { checksNamed } = await import("../../doctor/checks.ts");
  const { runChecks } = await import("../../doctor/run-checks.ts");
  const { openPatient } = await import("../../doctor/open-patient.ts");
  const address = flags.address ?? (io.env["BERTH_ADDRESS"] || undefined);
  const patient = openPatient({
    root: flags.host === undefined ? "" : path.resolve(flags.host),
    configFile: flags.config === undefined ? undefined : path.resolve(flags.config),
    address: address === undefined ? undefined : socketPath(address),
    kubeconfig: flags.kubeconfig === undefined ? undefined : path.resolve(flags.kubeconfig),
  });
  if (flags.fix) {
    const { fixLeftovers } = await import("../../doctor/fix-leftovers.ts");
    await fixLeftovers(patient, (line) => io.error(printable(`${line}\n`)));
  }
  const results = await runChecks(checksNamed(flags.only ?? []), patient);
  const summary = summaryOf(results);
  io.out(
    printable(
      flags.json === true
        ? jsonOf({ version, ...summary, findings: flatten(results) })
        : renderFindings(results, flags.all),
    ),
  );
  const isSick = summary.errors > 0 || (flags.strict && summary.warnings > 0);
  // What a thread waits for in the kernel would keep the process for as long.
  const hangs = results.some((one) => one.hangs);
  const endNow = hangs ? (await import("../../base/os/end-now.ts")).endNow : undefined;
  if (isSick || hangs) throw new CommandExit(isSick ? 1 : 0, endNow);
}

function flatten(results: readonly CheckResult[]) {
  return results.flatMap(({ check, findings }) => findings.map((one) => ({ check, ...one })));
}
