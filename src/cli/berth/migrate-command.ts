// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { fault, isAbort, toFault } from "../../base/errors.ts";
import { shellWord } from "../../base/shell-word.ts";
import { layoutOf, usualFolders } from "../../config/layout.ts";
import { parseDuration } from "../../config/quantity.ts";
import type { Direction } from "../../migration/journal.ts";
import type { NodeKind } from "../../migration/node-setting.ts";
import type { Tools } from "../../migration/steps.ts";
import type { CliIo } from "../cli-io.ts";
import { CommandExit } from "../command-exit.ts";
import { givenOptions } from "../given-command.ts";
import { untilInterrupted } from "../interruption.ts";
import { printable } from "../printable.ts";
import { processTerminal } from "../terminal.ts";
import { usageFault } from "../usage-fault.ts";
import { type Session, withSession } from "./call-options.ts";

interface Flags {
  readonly node: string;
  readonly back: boolean;
  readonly dryRun: boolean;
  readonly kubeconfig?: string;
  readonly force: boolean;
  readonly deleteEmptydirData: boolean;
  readonly drain: boolean;
  readonly drainTimeout: number;
  readonly apiTimeout: number;
  readonly images: boolean;
  readonly installer?: NodeKind;
  readonly runtimeService?: string;
  readonly serviceCommand?: string;
  readonly journal: string;
}

const help = `
It is run as root on the node itself, where berthd runs beside the other
runtime. In order: images are copied, the node is cordoned and drained, the
kubelet is stopped, the pods that a drain leaves are removed from the other
runtime, the kubelet's endpoint is set, the other runtime is disabled, the
kubelet is started, and once the node is ready with Berth and one of its pods
runs, it is uncordoned.

Each step is written down before and after. A migration that ended anywhere is
gone on with by the same command, and undone with --back, at any time: also long
after it. A node that was cordoned before stays so.

Exit status: 0 when the node uses the runtime that was asked for, 1 when it does
not, 2 when the command line is wrong, 128 and the signal's number when a signal
ended it. What was refused before the first step has changed nothing; after that
the last line says how to go on, and how back.
`;

export function addMigrateCommand(program: Command, io: CliIo): void {
  program
    .command("migrate")
    .description(
      "move this node from another runtime to Berth, or back: cordon, drain within PodDisruptionBudgets, switch the kubelet, check, uncordon; what is interrupted can be gone on with",
    )
    .requiredOption("--node <name>", "the node's name in the cluster; it must be this machine")
    .option(
      "-a, --address <path>",
      `berthd's socket (default: $BERTH_ADDRESS, else ${layoutOf(usualFolders).socket})`,
    )
    .option("--back", "to the runtime that the node had before", false)
    .option("--dry-run", "look at the node and print the steps; nothing is changed", false)
    .option(
      "--kubeconfig <file>",
      "an operator's, who may patch nodes and evict pods (default: $KUBECONFIG, which may be a list, else those that kubeadm, k3s, RKE2, k0s and microk8s write for root, else ~/.kube/config)",
    )
    .option("--force", "also delete pods that no controller makes again", false)
    .option(
      "--delete-emptydir-data",
      "also evict pods with emptyDir volumes, which are lost",
      false,
    )
    .option("--no-drain", "evict nothing: the node's pods end when it changes its runtime")
    .addOption(
      duration("--drain-timeout <duration>", "how long the drain may take, 429s included", "15m"),
    )
    .addOption(
      duration("--api-timeout <duration>", "how long the API server may be away in between", "5m"),
    )
    .option("--no-images", "copy no images of a containerd beforehand: they are pulled anew")
    .addOption(
      new Option("--installer <name>", "what runs the kubelet (default: found out)").choices([
        "kubelet",
        "k3s",
        "rke2",
        "k0s",
        "microk8s",
      ]),
    )
    .option("--runtime-service <name>", "the other runtime's service (default: by its socket)")
    .option(
      "--service-command <program>",
      "what is called in place of systemctl, with the same words: stop kubelet, enable --now containerd",
    )
    .option(
      "--journal <file>",
      "where the steps are written down",
      layoutOf(usualFolders).migration,
    )
    .addHelpText("after", help)
    .action((flags: Flags, command: Command) =>
      withSession(command, io, undefined, async (session) => {
        const terminal = (io.terminal ?? processTerminal)();
        // A hangup ends it where it may end, and not the process wherever it is.
        using work = untilInterrupted(terminal, session.call.signal);
        const call = { signal: work.signal };
        const scoped = { ...session.scoped, ...call };
        try {
          await migrateNode(flags, { ...session, call, scoped }, { io, command });
        } catch (error) {
          throw isAbort(error) && work.signal.aborted ? work.signal.reason : error;
        }
      }),
    );
}

function duration(flag: string, about: string, usual: string): Option {
  const parsed = (text: string): number => {
    const ms = parseDuration(text);
    if (ms !== undefined && ms > 0) return ms;
    if (ms !== undefined) throw new InvalidArgumentError("it must be longer than 0");
    throw new InvalidArgumentError("expected a number with its unit, such as 30s or 15m");
  };
  return new Option(flag, about).argParser(parsed).default(parsed(usual), usual);
}

interface Given {
  readonly io: CliIo;
  readonly command: Command;
}

async function migrateNode(flags: Flags, session: Session, { io, command }: Given): Promise<void> {
  if (session.json) {
    throw usageFault("berth migrate prints a line for each step, no JSON: leave out --json");
  }
  if (process.getuid?.() !== 0) throw fault("PERMISSION_DENIED", "berth migrate is for root");
  const kubeconfig = kubeconfigOf(flags.kubeconfig, io);
  const { openAsk } = await import("../../migration/ask.ts");
  const { look } = await import("../../migration/look.ts");
  const { migrate } = await import("../../migration/migrate.ts");
  const { openServices } = await import("../../migration/services.ts");
  const { readNodeSetting } = await import("../../migration/node-kind.ts");
  const { cgroupDriverOf, kubeletRuns, killShimsOf, whyNoAnswer, whyNotReady } = await import(
    "../../migration/runtime-pods.ts"
  );
  const { removePods, runningContainers } = await import("../../migration/remove-pods.ts");
  const say = (line: string): void => io.out(printable(`${line}\n`));
  const ask = openAsk({ kubeconfig, awayMs: flags.apiTimeout, say });
  const services = openServices(flags.serviceCommand, say);
  const drainFlags = {
    force: flags.force,
    deleteEmptydirData: flags.deleteEmptydirData,
    noDrain: !flags.drain,
    drainMs: flags.drainTimeout,
  };
  const tools: Omit<Tools, "copyImages"> = {
    ask,
    services,
    flags: drainFlags,
    say,
    kubeletRuns,
    removePods,
    running: runningContainers,
    killShimsOf,
    whyNotReady,
  };
  await migrate(
    {
      node: flags.node,
      direction: flags.back ? "back" : "to",
      dryRun: flags.dryRun,
      isLoss: (reason) => isLoss(reason, io),
      journalFile: path.resolve(flags.journal),
      command: (direction) => commandLine(direction, session, { io, command }),
      say,
      warn: (line) => io.error(printable(`berth: ${line}\n`)),
      settingNow: ({ kind, ourEndpoint }) => readNodeSetting({ kind, ourEndpoint }, { root: "" }),
      look: (call) =>
        look(
          {
            node: flags.node,
            root: "",
            kind: flags.installer,
            ourEndpoint: session.address,
            oldService: flags.runtimeService,
            flags: drainFlags,
            ask,
            services,
            whyNotReady,
            whyNoAnswer,
            cgroupDriverOf,
            say,
          },
          call,
        ),
      toolsFor: ({ oldRuntime, begun }) => {
        // Later the other runtime may be off, and what it had is here.
        const isEarly = !begun.includes("stop-kubelet");
        const wanted = flags.images && isEarly && oldRuntime.startsWith("containerd://");
        const copyImages = wanted ? (from: string) => copied(from, session, io) : undefined;
        return { ...tools, copyImages };
      },
    },
    session.call,
  );
}

/** Nobody reads any more what is printed, or the terminal was closed. */
function isLoss(reason: unknown, { lost }: CliIo): boolean {
  if (lost?.aborted === true && reason === lost.reason) return true;
  return reason instanceof CommandExit && reason.status === 128 + os.constants.signals.SIGHUP;
}

/** As it was called, for a direction: somebody else may type it, elsewhere and later. */
function commandLine(direction: Direction, session: Session, { io, command }: Given): string {
  const words = givenOptions(command, ["node", "back", "dryRun", "json", "journal", "kubeconfig"]);
  const { node, kubeconfig, journal } = command.opts<Flags>();
  const isNamed = words.includes("--address");
  if (!isNamed && session.address !== layoutOf(usualFolders).socket) {
    words.push("--address", session.address);
  }
  if (kubeconfig !== undefined) words.push("--kubeconfig", path.resolve(kubeconfig));
  if (journal !== layoutOf(usualFolders).migration) words.push("--journal", path.resolve(journal));
  const list = kubeconfig === undefined ? io.env["KUBECONFIG"] : undefined;
  const start = list ? `KUBECONFIG=${shellWord(list)} ` : "";
  const back = direction === "back" ? ["--back"] : [];
  return `${start}${["berth", "migrate", "--node", node, ...words, ...back].map(shellWord).join(" ")}`;
}

/** What cannot be copied can be pulled. */
async function copied(from: string, session: Session, io: CliIo): Promise<void> {
  const { copyImages } = await import("./images/copy-command.ts");
  try {
    const flags = { from, force: false, unpack: true, progress: "none" } as const;
    await copyImages({ session, flags, io }, []);
  } catch (error) {
    session.call.signal.throwIfAborted();
    // The rest of it tells of options that another command has.
    const [why = ""] = toFault(error).message.split("\n");
    io.error(printable(`berth: images are left to be pulled: ${why}\n`));
  }
}

const usual = [
  "/etc/kubernetes/admin.conf",
  "/etc/rancher/k3s/k3s.yaml",
  "/etc/rancher/rke2/rke2.yaml",
  "/var/lib/k0s/pki/admin.conf",
  "/var/snap/microk8s/current/credentials/client.config",
];

function kubeconfigOf(named: string | undefined, io: CliIo): readonly string[] {
  if (named !== undefined) return [path.resolve(named)];
  const listed = (io.env["KUBECONFIG"] ?? "").split(path.delimiter).filter((one) => one !== "");
  const there = listed.filter((file) => existsSync(file)); // as kubectl has it
  if (listed.length > 0) return (there.length > 0 ? there : listed).map((one) => path.resolve(one));
  const home = io.env["HOME"] || os.homedir();
  const found = [...usual, path.join(home, ".kube/config")].find((file) => existsSync(file));
  if (found !== undefined) return [found];
  throw fault(
    "NOT_FOUND",
    "an operator's kubeconfig is needed, who may patch nodes and evict pods: name it with --kubeconfig",
  );
}
