// SPDX-License-Identifier: Apache-2.0
import { rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { errnoOf, fault } from "../../base/errors.ts";
import { systemWords } from "../../base/system-words.ts";
import type { CliIo } from "../cli-io.ts";
import { CommandExit } from "../command-exit.ts";
import { printable } from "../printable.ts";
import { socketPath } from "../socket-path.ts";
import { usageFault } from "../usage-fault.ts";
import { refuseSessionFlags } from "./call-options.ts";
import { jsonOf } from "./json.ts";
import { archiveOutput } from "./output-file.ts";

interface SupportFlags {
  readonly address?: string;
  readonly config?: string;
  readonly output?: string;
  readonly json?: boolean;
}

const help = `
In the archive are versions, the configuration, hosts.toml files, status, calls
that run, ids and names of pods, what the doctor finds, the end of berthd's log,
metrics, mounts, and facts of its process and cgroup. Left out are logins,
headers, plugins' settings, keys, what looks like a secret, and all that is the
containers': their environment, arguments, annotations and logs.

Look through it before you hand it on: a log may tell names that are yours.
`;

export function addSupportCommand(program: Command, io: CliIo): void {
  program
    .command("support")
    .description(
      "pack what a bug report needs into an archive, secrets left out; also while berthd does not run",
    )
    .option(
      "-o, --output <file>",
      "the archive, - for standard output (default: berth-support-HOST-TIME.tar.gz, here)",
    )
    .option(
      "-a, --address <path>",
      "berthd's socket (default: $BERTH_ADDRESS, else the configured one)",
    )
    .option(
      "-c, --config <file>",
      "berthd's configuration file (default: /etc/berthd/config.toml, if it exists)",
    )
    .addHelpText("after", help)
    .option("--json", "print JSON of what was written and left out")
    .action((flags: SupportFlags, command: Command) => {
      refuseSessionFlags(command);
      return support({ ...command.parent?.opts(), ...flags }, io);
    });
}

async function support(flags: SupportFlags, io: CliIo): Promise<void> {
  if (flags.json === true && flags.output === "-")
    throw usageFault("standard output is either the archive's (-o -) or JSON's (--json)");
  const standard = flags.output === "-" ? archiveOutput(flags.output, io) : undefined;
  const { openPatient } = await import("../../doctor/open-patient.ts");
  const { packSupport } = await import("../../doctor/support/pack-support.ts");
  const address = flags.address ?? (io.env["BERTH_ADDRESS"] || undefined);
  const patient = openPatient({
    root: "",
    configFile: flags.config === undefined ? undefined : path.resolve(flags.config),
    address: address === undefined ? undefined : socketPath(address),
  });
  const time = new Date().toISOString().replaceAll(/[-:]|\..*/g, "");
  const name = `berth-support-${hostname()}-${time}`;
  const file = path.resolve(flags.output ?? `${name}.tar.gz`);
  const { bytes, missing, names, hangs } = await packSupport(patient, name);
  if (standard) await pipeline(Readable.from([bytes]), standard);
  else writeNew(file, bytes);
  if (flags.json === true) {
    io.out(printable(jsonOf({ file, bytes: bytes.length, files: names, leftOut: missing })));
  } else {
    for (const line of missing) io.error(printable(`left out: ${line}\n`));
    const told = `${standard ? name : file}: ${names.length} files, ${bytes.length} bytes\n`;
    (standard ? io.error : io.out)(printable(told));
  }
  if (hangs) throw new CommandExit(0, (await import("../../base/os/end-now.ts")).endNow);
}

/** For root alone. What is there already is somebody's. */
function writeNew(file: string, bytes: Buffer): void {
  let isOurs = false;
  try {
    writeFileSync(file, "", { mode: 0o600, flag: "wx" });
    isOurs = true;
    writeFileSync(file, bytes);
  } catch (error) {
    if (isOurs) rmSync(file, { force: true });
    if (errnoOf(error) === "EEXIST") throw fault("ALREADY_EXISTS", `${file} is there already`);
    const why = systemWords(error) ?? String(error);
    throw fault("FAILED_PRECONDITION", `cannot write ${file}: ${why}`, { cause: error });
  }
}
