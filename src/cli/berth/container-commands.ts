// SPDX-License-Identifier: Apache-2.0

import type { Command } from "commander";
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault, toFault } from "../../base/errors.ts";
import { compileFilters } from "../../base/filter.ts";
import { checkIdentifier } from "../../base/identifier.ts";
import { timeoutSignal } from "../../base/timers.ts";
import type { Container } from "../../client/ports.ts";
import type { ContainersContainer } from "../../gen/containers.gen.ts";
import { parseExactJson } from "../../oci/encode-spec.ts";
import type { CliIo } from "../cli-io.ts";
import { printable } from "../printable.ts";
import { checkUsage, usageFault } from "../usage-fault.ts";
import { type Session, withNamespaceFlag, withSession } from "./call-options.ts";
import { jsonOf } from "./json.ts";
import { collect, readPairs } from "./pairs.ts";
import { type IoFlags, terminalOf, withIoFlags } from "./process-io.ts";
import type { MakeFlags, WantedContainer } from "./run/make-container.ts";
import { removeSnapshot } from "./run/remove-snapshot.ts";
import type { Column } from "./table.ts";
import { endProcess } from "./task-commands.ts";
import { startTask } from "./task-io-commands.ts";

const timeoutMs = 10_000;

export function addContainerCommands(program: Command, io: CliIo): void {
  const container = program
    .command("container")
    .description("containers: what a task is made from, in any namespace")
    .enablePositionalOptions();
  withNamespaceFlag(container.command("ls"))
    .description("list containers")
    .option(
      "--filter <filter>",
      "only those that pass it, such as labels.app==web; may be given many times",
      collect,
      [],
    )
    .option("-q, --quiet", "only their ids")
    .action((flags: { quiet?: boolean; filter: string[] }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        checkUsage(() => compileFilters(flags.filter, () => undefined));
        const found = await session.containers().containers(flags.filter, session.call);
        const records = found.map(({ record }) => record);
        if (flags.quiet) io.out(records.map(({ id }) => `${id}\n`).join(""));
        else session.showTable(records, containerColumns, records.map(readable));
      }),
    );
  withNamespaceFlag(container.command("info <id>"))
    .description("print a container's record with its spec, as JSON")
    .option("--spec", "only the spec", false)
    .action((id: string, flags: { spec: boolean }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const { record } = await session.containers().loadContainer(id, session.call);
        const shown = readable(record);
        io.out(printable(jsonOf(flags.spec ? shown.spec : shown)));
      }),
    );
  withMakeFlags(withNamespaceFlag(container.command("create <image> <id> [command...]")))
    .description(
      "make a container from an image of the daemon's store; start it with `berth task start`",
    )
    .passThroughOptions()
    .action((...[image, id, args, flags, command]: ActionArguments<MakeFlags>) =>
      withSession(command, io, 60_000, async (session) => {
        checkUsage(() => checkIdentifier("container id", id));
        const { makeContainer } = await import("./run/make-container.ts");
        const made = await makeContainer(session, { image, id, args }, flags);
        session.show({ id: made.id }, () => `${made.id}\n`);
      }),
    );
  withNamespaceFlag(container.command("rm <id...>"))
    .description("remove containers and their snapshots")
    .option("-f, --force", "end and remove their tasks first", false)
    .option("--keep-snapshot", "leave the snapshots", false)
    .action((ids: string[], flags: RemoveFlags, command: Command) =>
      withSession(command, io, 60_000, async (session) => {
        for (const id of ids) {
          const found = await session.containers().loadContainer(id, session.call);
          await removeContainer(session, found, flags);
        }
        session.show({ removed: ids }, () => "");
      }),
    );
  withNamespaceFlag(container.command("label <id> <key=value...>"))
    .description("set labels of a container; key= takes one away")
    .action((id: string, pairs: string[], _flags: object, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const found = await session.containers().loadContainer(id, session.call);
        const change = readPairs("label", pairs);
        const labels = Object.fromEntries(
          Object.entries({ ...found.record.labels, ...change }).filter(([, value]) => value !== ""),
        );
        await found.update({ labels }, ["labels"], session.call);
        session.show(labels, () => labelText(labels));
      }),
    );

  withMakeFlags(withIoFlags(withNamespaceFlag(program.command("run <image> <id> [command...]"))))
    .description("make a container from an image of the daemon's store, start it and stay with it")
    .option("--rm", "remove the container when it has ended", false)
    .addHelpText("after", runHelp)
    .passThroughOptions()
    .action((...[image, id, args, flags, command]: ActionArguments<RunFlags>) =>
      withSession(command, io, undefined, (session) =>
        run(session, { image, id, args }, flags, io),
      ),
    );
}

/** What commander gives an action of `<image> <id> [command...]`. */
type ActionArguments<Flags> = [
  image: string,
  id: string,
  args: string[],
  flags: Flags,
  command: Command,
];

type RunFlags = MakeFlags & IoFlags & { readonly rm: boolean };

const runHelp = `
Flags go before the image; what follows the id is the command. Exits with the command's exit status.
The container has no network of its own beyond loopback unless --net-host is given: pods are what gets
networks here.

Examples:
  berth run --rm -t docker.io/library/busybox:1 try sh
  berth run -d --log /tmp/web.log localhost/web:2 web
  berth -n dev run --rm --mount /srv/data:/data:ro busybox look ls /data
`;

async function run(
  session: Session,
  wanted: WantedContainer,
  flags: RunFlags,
  io: CliIo,
): Promise<void> {
  if (flags.rm && flags.detach) {
    throw usageFault("--rm cannot go with --detach: nobody stays to remove it");
  }
  checkUsage(() => checkIdentifier("container id", wanted.id));
  const size = flags.tty ? terminalOf(io).size() : undefined;
  const makeFlags = size ? { ...flags, consoleSize: size } : flags;
  const { makeContainer } = await import("./run/make-container.ts");
  const container = await makeContainer(session, wanted, makeFlags);
  await using undo = new AsyncDisposableStack();
  if (flags.rm) {
    undo.defer(async () => {
      try {
        // Without a reader nobody stays for its end.
        const force = io.lost?.aborted === true;
        await removeContainer(session, container, { force, keepSnapshot: false });
      } catch (error) {
        // The caller wants to know how the process ended; this error is printed as well.
        io.error(`berth: container "${wanted.id}" is left: ${printable(toFault(error).message)}\n`);
      }
    });
  }
  await startTask(container, flags, session, io);
}

interface RemoveFlags {
  readonly force: boolean;
  readonly keepSnapshot: boolean;
}

async function removeContainer(
  session: Session,
  container: Container,
  flags: RemoveFlags,
): Promise<void> {
  const call = { signal: timeoutSignal(30_000) };
  if (flags.force) await removeTask(container, call);
  await container.delete(call);
  const { snapshotter, snapshotKey } = container.record;
  if (snapshotKey === "" || flags.keepSnapshot) return;
  await removeSnapshot(session, snapshotter, snapshotKey);
}

async function removeTask(container: Container, call: Cancellable): Promise<void> {
  try {
    const task = await container.task(call);
    await endProcess(task, call);
    await task.delete(call);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) throw error;
  }
}

function withMakeFlags(command: Command): Command {
  return command
    .option("-t, --tty", "give it a terminal", false)
    .option("-e, --env <name=value>", "a variable; may be given many times", collect, [])
    .option("-u, --user <user[:group]>", "names or numbers (default: the image's)")
    .option("--cwd <folder>", "its working directory (default: the image's)")
    .option("--hostname <name>", "its host name (default: its id)")
    .option("--net-host", "the machine's network instead of an empty one", false)
    .option(
      "--mount <mount>",
      "/host:/container[:ro], or src=…,dst=…[,ro][,type=…]; may be given many times",
      collect,
      [],
    )
    .option("--memory <size>", "its memory limit, such as 64MiB")
    .option("--read-only", "mount its root read-only", false)
    .option("--privileged", "all capabilities and devices", false)
    .option("--label <key=value>", "a label; may be given many times", collect, [])
    .option("--runtime <name>", "its runtime", "io.containerd.runc.v2")
    .option("--snapshotter <name>", "where its root is kept", "overlayfs");
}

const containerColumns: readonly Column<ContainersContainer>[] = [
  { title: "CONTAINER", value: ({ id }) => id },
  { title: "IMAGE", value: ({ image }) => image || "-" },
  { title: "RUNTIME", value: ({ runtime }) => runtime?.name ?? "-" },
];

/** The record with its spec as the JSON it is, not as bytes. */
function readable(
  record: ContainersContainer,
): { spec: unknown } & Omit<ContainersContainer, "spec"> {
  const { spec } = record;
  const isJson = spec?.type_url.startsWith("types.containerd.io/") ?? false;
  return { ...record, spec: spec && isJson ? parseExactJson(spec.value.toString()) : spec };
}

function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}
