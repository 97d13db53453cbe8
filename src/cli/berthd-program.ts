// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { version } from "../base/version.ts";
import { defaultConfigFile, type LoadOptions, loadConfig } from "../config/load.ts";
import type { CliIo } from "./cli-io.ts";
import { checkConfigFile, printDefaultConfig, printEffectiveConfig } from "./config-commands.ts";
import { socketPath } from "./socket-path.ts";
import { usageFault } from "./usage-fault.ts";

export interface ConfigFlags {
  readonly config?: string;
  readonly root?: string;
  readonly state?: string;
  readonly address?: string;
  readonly logLevel?: string;
}

/** The daemon's command line. */
export function buildBerthd(io: CliIo): Command {
  const program = new Command("berthd")
    .description(
      "Berth's daemon: a Kubernetes container runtime that serves CRI and containerd's task services on one unix socket.",
    )
    .version(`berthd ${version}`, "-v, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", examples);

  withConfigFlags(program.command("serve"))
    .description("run the daemon until SIGTERM or SIGINT; pods go on running when it ends")
    .addHelpText("after", serveHelp)
    .action(async (flags: ConfigFlags) => {
      const { serve } = await import("./serve.ts");
      await serve(() => loadConfig(loadOptions(flags)), io);
    });

  const config = program
    .command("config")
    .description("look at the configuration without starting anything");
  config
    .command("default")
    .description("print the defaults as a commented configuration file")
    .action(() => printDefaultConfig(io));
  withConfigFlags(config.command("check [file]"))
    .description(
      "check the configuration; exits 1 and names every fault when it is wrong, when another process listens on a further socket, or when a newer version wrote what the root holds; warns of files that are named and not there",
    )
    .action((file: string | undefined, flags: ConfigFlags) =>
      checkConfigFile(loadConfig(loadOptions(withFile(flags, file))), io),
    );
  withConfigFlags(config.command("dump [file]"))
    .description(
      "print the whole effective configuration: file, config.d, flags and defaults together",
    )
    .option("--comments", "explain every key", false)
    .action((file: string | undefined, flags: ConfigFlags & { comments: boolean }) =>
      printEffectiveConfig(loadConfig(loadOptions(withFile(flags, file))), io, flags.comments),
    );

  config
    .command("import <file>")
    .description(
      "print a configuration made of containerd's config.toml (versions 1 to 4, with its imports) or of CRI-O's crio.conf (with crio.conf.d), and on standard error what has no counterpart and why",
    )
    .option(
      "--certs-dir <folder>",
      "write the hosts.toml files that stand for its registry mirrors and logins into this folder",
      (folder: string) => {
        if (folder === "") throw new InvalidArgumentError("expected a folder");
        return path.resolve(folder);
      },
    )
    .action(async (file: string, { certsDir }: { readonly certsDir?: string }) => {
      const { importInto } = await import("./import-command.ts");
      importInto(io, path.resolve(file), certsDir);
    });

  program
    .command("version")
    .description("print the versions of berthd and of the Node that runs it")
    .action(() => io.out(`berthd ${version}\nnode ${process.version}\n`));
  return program;
}

const examples = `
Examples:
  berthd config default > /etc/berthd/config.toml
  berthd config check --config ./config.toml
  berthd config import /etc/containerd/config.toml > /etc/berthd/config.toml
  berthd serve --root /tmp/b/root --state /tmp/b/run --address /tmp/b/berthd.sock
`;

const serveHelp = `
Signals:
  SIGTERM, SIGINT   finish running calls, close the socket and exit 0; pods stay
  another of them   exit at once
  SIGHUP            read the configuration again, with the same flags: all of it or, when anything is
                    wrong, nothing; keys that need a restart are named in the log

Flags win over config.d, which wins over the configuration file. When --state is given and no
address is set anywhere, the socket is berthd.sock in the state folder.
`;

function withConfigFlags(command: Command): Command {
  return command
    .option(
      "-c, --config <file>",
      `configuration file (default: ${defaultConfigFile}, if it exists)`,
    )
    .option("--root <folder>", "folder of persistent state")
    .option("--state <folder>", "folder of volatile state")
    .option("-a, --address <path>", "unix socket to serve on")
    .addOption(
      new Option("-l, --log-level <level>", "least severe level that is logged").choices([
        "trace",
        "debug",
        "info",
        "warn",
        "error",
        "fatal",
      ]),
    );
}

/** The file may stand without its flag. */
function withFile(flags: ConfigFlags, file: string | undefined): ConfigFlags {
  if (file === undefined) return flags;
  if (flags.config !== undefined)
    throw usageFault("the configuration file is named twice, once by --config");
  return { ...flags, config: file };
}

/** Flags as loadConfig takes them. Paths on the command line may be relative; in files they may not. */
function loadOptions(flags: ConfigFlags): LoadOptions {
  const overrides: Record<string, unknown> = {};
  if (flags.root !== undefined) overrides["root"] = path.resolve(flags.root);
  if (flags.state !== undefined) overrides["state"] = path.resolve(flags.state);
  if (flags.address !== undefined) overrides["grpc"] = { address: socketPath(flags.address) };
  if (flags.logLevel !== undefined) overrides["log"] = { level: flags.logLevel };
  return flags.config === undefined
    ? { overrides }
    : { overrides, file: path.resolve(flags.config) };
}
