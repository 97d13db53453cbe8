// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Command } from "commander";
import type { Cancellable } from "../../base/cancellable.ts";
import type { Process, Task } from "../../client/ports.ts";
import type { TaskTypesProcess } from "../../gen/tasks.gen.ts";
import type { TypesDescriptorInit, TypesMetric } from "../../gen/types.gen.ts";
import { packLight, unpackLight } from "../../rpc/light/light-any.ts";
import type { CliIo } from "../cli-io.ts";
import { passOn } from "./attached.ts";
import { type Session, withNamespaceFlag, withSession } from "./call-options.ts";
import { stopSignalLabel } from "./run/stop-signal-label.ts";
import { readSignal } from "./signals.ts";
import { bytes, type Column } from "./table.ts";
import { addTaskIoCommands } from "./task-io-commands.ts";

const timeoutMs = 10_000;
/** How long a command may take when --timeout says nothing. */
type Limit = number | "none";

const execFlag = [
  "--exec-id <id>",
  "the process that an exec made, instead of the task's first",
] as const;

export function addTaskCommands(program: Command, io: CliIo): void {
  const task = program
    .command("task")
    .description("tasks: the running half of containers, in any namespace")
    .enablePositionalOptions();
  const run = <F>(
    work: (session: Session, id: string, flags: F) => Promise<void>,
    limit: Limit = timeoutMs,
  ) => {
    return (id: string, flags: F, command: Command) =>
      withSession(command, io, limit === "none" ? undefined : limit, (session) =>
        work(session, id, flags),
      );
  };

  withNamespaceFlag(task.command("ls"))
    .description("list tasks")
    .option("-q, --quiet", "only their ids")
    .action((flags: { quiet?: boolean }, command: Command) =>
      withSession(command, io, timeoutMs, async (session) => {
        const { tasks } = await session
          .client("containerd.services.tasks.v1.Tasks")
          .List({}, session.scoped);
        if (flags.quiet) io.out(tasks.map(({ id }) => `${id}\n`).join(""));
        else session.showTable(tasks, taskColumns);
      }),
    );
  withNamespaceFlag(task.command("ps <id>"))
    .description("list the processes of a task")
    .action(
      run(async (session, id) => {
        const processes = (await (await taskOf(session, id)).pids(session.call)).map(
          ({ pid, info }) => ({
            pid,
            execId: unpackLight("containerd.runc.v1.ProcessDetails", info)?.execId ?? "",
          }),
        );
        session.showTable(processes, [
          { title: "PID", value: ({ pid }) => String(pid) },
          { title: "EXEC", value: ({ execId }) => execId || "-" },
        ]);
      }),
    );
  addTaskIoCommands(task, io);
  withNamespaceFlag(task.command("kill <id> [signal]"))
    .description("send a signal to a task: without a name the one its image wants, else TERM")
    .option("--all", "to every process in it", false)
    .option(...execFlag)
    .action(
      (
        id: string,
        signal: string | undefined,
        flags: { all: boolean; execId?: string },
        command: Command,
      ) =>
        withSession(command, io, timeoutMs, async (session) => {
          const number = signal === undefined ? undefined : readSignal(signal);
          const container = await session.containers().loadContainer(id, session.call);
          const task = await container.task(session.call);
          const process = flags.execId === undefined ? task : task.execHandle(flags.execId);
          const usual = container.record.labels[stopSignalLabel] ?? "TERM";
          await process.kill(number ?? readSignal(usual), session.call, { all: flags.all });
        }),
    );
  withNamespaceFlag(task.command("pause <id>"))
    .description("freeze a task")
    .action(run(async (session, id) => (await taskOf(session, id)).pause(session.call)));
  withNamespaceFlag(task.command("resume <id>"))
    .description("let a frozen task go on")
    .action(run(async (session, id) => (await taskOf(session, id)).resume(session.call)));
  withNamespaceFlag(task.command("delete <id>"))
    .alias("rm")
    .description("remove a task that has ended; exits with its exit status")
    .option("-f, --force", "end it first, if it runs", false)
    .option(...execFlag)
    .action(
      run(async (session, id, flags: { force: boolean; execId?: string }) => {
        const process = await processOf(session, id, flags.execId);
        if (flags.force) await endProcess(process, session.call);
        const exit = await process.delete(session.call);
        session.show({ id, exitCode: exit.exitCode }, () => "");
        if (!flags.force) passOn(exit, io);
      }, 30_000),
    );
  withNamespaceFlag(task.command("wait <id>"))
    .description("wait until a task ends; exits with its exit status")
    .option(...execFlag)
    .action(
      run(async (session, id, flags: { execId?: string }) => {
        const exit = await (await processOf(session, id, flags.execId)).wait(session.call);
        const status = await exit.status;
        session.show({ id, exitCode: status.exitCode }, () => `${status.exitCode}\n`);
        passOn(status, io);
      }, "none"),
    );
  withNamespaceFlag(task.command("metrics <id>"))
    .description("print what a task uses now")
    .action(
      run(async (session, id) => {
        const metric = await (await taskOf(session, id)).metrics(session.call);
        const usage = readUsage(metric);
        session.show({ id, usage }, () => usageText(id, usage));
      }),
    );
  withNamespaceFlag(task.command("checkpoint <id>"))
    .description("keep a task's state with CRIU, to go on from later")
    .option("--image-path <folder>", "write it to this folder instead of the content store")
    .option("--work-path <folder>", "folder for CRIU's own files and its log")
    .option("--exit", "end the task once its state is kept", false)
    .action(
      run(async (session, id, flags: CheckpointFlags) => {
        const found = await (await taskOf(session, id)).checkpoint(
          checkpointOptions(flags),
          session.call,
        );
        session.show({ id, imagePath: flags.imagePath ?? "", descriptors: found }, () =>
          checkpointText(flags, found),
        );
      }, "none"),
    );
}

/** The task of a container, without its streams. */
export async function taskOf(session: Session, id: string): Promise<Task> {
  const container = await session.containers().loadContainer(id, session.call);
  return container.task(session.call);
}

async function processOf(session: Session, id: string, execId?: string): Promise<Process> {
  const task = await taskOf(session, id);
  return execId === undefined ? task : task.execHandle(execId);
}

/** Kills a process that has not ended, and waits until it has. */
export async function endProcess(process: Process, call: Cancellable): Promise<void> {
  const { state } = await process.status(call);
  if (state === "stopped" || state === "created") return;
  const exit = await process.wait(call);
  await process.kill(9, call);
  const { error } = await exit.status;
  if (error) throw error;
}

const taskColumns: readonly Column<TaskTypesProcess>[] = [
  { title: "TASK", value: ({ id }) => id },
  { title: "PID", value: ({ pid }) => String(pid) },
  { title: "STATUS", value: ({ status }) => status.toLowerCase() },
  {
    title: "EXIT",
    value: ({ status, exitStatus }) => (status === "STOPPED" ? String(exitStatus) : "-"),
  },
];

interface CheckpointFlags {
  readonly imagePath?: string;
  readonly workPath?: string;
  readonly exit: boolean;
}

function checkpointOptions(flags: CheckpointFlags): ReturnType<typeof packLight> {
  return packLight("containerd.runc.v1.CheckpointOptions", {
    exit: flags.exit,
    imagePath: flags.imagePath === undefined ? "" : path.resolve(flags.imagePath),
    workPath: flags.workPath === undefined ? "" : path.resolve(flags.workPath),
  });
}

function checkpointText(flags: CheckpointFlags, found: readonly TypesDescriptorInit[]): string {
  if (flags.imagePath !== undefined) return `${path.resolve(flags.imagePath)}\n`;
  return found.map(({ digest, mediaType }) => `${digest} ${mediaType}\n`).join("");
}

type Usage = ReturnType<typeof readUsage>;

function readUsage({ data }: TypesMetric) {
  return (
    unpackLight("io.containerd.cgroups.v2.Metrics", data) ??
    unpackLight("io.containerd.cgroups.v1.Metrics", data)
  );
}

/** The few counts that both cgroup versions have; --json has them all. */
function usageText(id: string, usage: Usage): string {
  if (!usage) return `${id}: its metrics are of a kind that berth does not know\n`;
  const { pids, memory, cpu } = usage;
  const inUse = memory && "usageLimit" in memory ? memory.usage : memory?.usage;
  const used = typeof inUse === "bigint" ? inUse : (inUse?.usage ?? 0n);
  const nanoseconds = cpu && "usageUsec" in cpu ? cpu.usageUsec * 1000n : (cpu?.usage?.total ?? 0n);
  return [
    `memory      ${bytes(used)}`,
    `cpu         ${(Number(nanoseconds) / 1e9).toFixed(3)}s`,
    `processes   ${pids?.current ?? 0n}`,
    "",
  ].join("\n");
}
