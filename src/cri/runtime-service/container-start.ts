// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, toFault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { hostId } from "../../base/os/id-mapping.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { NewTaskOptions, Task } from "../../client/ports.ts";
import {
  type WatchContainerNeeds,
  type Watched,
  watchContainer,
} from "../container/exit-monitor.ts";
import { logOptionsOf } from "../container/log-options.ts";
import { type Handler, runtimeOptions } from "../handlers/handlers.ts";
import { bothSettled } from "../lifecycle/both-settled.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";
import { criNamespace } from "../ports.ts";
import { type HandlerNeeds, podHandler, podMappings } from "../sandbox/pod-handler.ts";
import { type ReadyNeeds, readySandbox } from "../sandbox/ready-sandbox.ts";
import {
  becomeExited,
  becomeRunning,
  type ContainerRecord,
  describeState,
} from "../store/container-record.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { purgeTask } from "../task/purge-task.ts";
import type { Verb } from "./verb.ts";

type Needs = WatchContainerNeeds &
  HandlerNeeds &
  ReadyNeeds &
  Pick<CriParts, "client" | "containers" | "lifetime" | "liveContainers" | "log" | "logs"> &
  Pick<CriParts, "limitTurns" | "nri" | "oom" | "operations" | "events" | "sandboxes"> &
  Pick<CriParts, "snapshotter">;

const startMs = 120_000;
/** What a kubelet shows for a container that could not be started. */
const startErrorExitCode = 128;

/** StartContainer: only from CREATED; a failed start leaves it EXITED with reason StartError. */
export function startContainer(parts: Needs): Verb<"StartContainer"> {
  return async (request, call) => {
    const { id } = parts.containers.require(request.containerId);
    await parts.operations.perform(
      {
        rpc: "StartContainer",
        object: id,
        joins: true,
        limit: { ms: startMs, what: `starting container "${id}"` },
        admit: () => refuseUnlessStartable(parts, id),
        facts: { container: id },
      },
      call,
      async (op) => {
        // It begins with the limits that an update under way sets.
        using _turn = await parts.limitTurns.verb(id, op);
        const running = await bringUp(parts, op, id);
        await parts.nri.tell("PostStartContainer", running, op);
      },
    );
    return {};
  };
}

function refuseUnlessStartable(
  parts: ReadyNeeds & Pick<Needs, "containers" | "liveContainers">,
  id: string,
): void {
  const { state, sandboxId } = parts.containers.require(id);
  if (state.kind !== "created") {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot start container "${id}": state is ${describeState(state)}, not created`,
    );
  }
  if (parts.liveContainers.of(id).ending) {
    throw fault("FAILED_PRECONDITION", `cannot start container "${id}": it is being removed`);
  }
  readySandbox(parts, sandboxId);
}

/** Answers the record of one that runs. Its limits stay what they are meanwhile, but for what plugins make of them. */
async function bringUp(parts: Needs, op: Operation, id: string): Promise<ContainerRecord> {
  using turn = await parts.limitTurns.change(id, op);
  const record = parts.containers.require(id);
  op.undo("record", (call, { error }) => recordFailure(parts, record, error, call));
  const { task, exit } = await createTask(parts, op, record);
  const askPlugins = (): Promise<void> => parts.nri.starts(op, record, task.pid);
  if (record.checkpoint === undefined) {
    using _made = parts.liveContainers.of(id).keepMade(task);
    await turn.lend(askPlugins);
  } else {
    // One to be restored takes no limits before it runs.
    await askPlugins();
  }
  const oom = await parts.oom.watch(record.cgroupsPath, op);
  op.undo("watch for OOM kills", async () => oom.forget());
  const running = await startTask(parts, op, parts.containers.require(id), task);
  parts.containers.show(running);
  op.keep();
  watchContainer(parts, id, { task, exit, oom });
  parts.events.publish({ type: "started", containerId: id, sandboxId: record.sandboxId });
  return running;
}

/** Answers the record, which is stored beside the start. A restored task has no pid before that: then it is stored after it. */
async function startTask(
  { containers, nri }: Pick<Needs, "containers" | "nri">,
  op: Operation,
  record: ContainerRecord,
  task: Task,
): Promise<ContainerRecord> {
  const start = (): Promise<void> => nri.naming(record, () => task.start(op));
  const running = (): ContainerRecord =>
    becomeRunning(record, { pid: task.pid, startedAtNanos: nowNanos() });
  if (record.checkpoint !== undefined) {
    await op.run("start", start);
    const restored = running();
    await containers.write(restored);
    return restored;
  }
  const started = running();
  await op.run("start", () =>
    bothSettled(
      () => start(),
      () => containers.write(started),
    ),
  );
  return started;
}

async function createTask(parts: Needs, op: Operation, record: ContainerRecord): Promise<Watched> {
  const { client, logs, snapshotter } = parts;
  const { id } = record;
  const live = parts.liveContainers.of(id);
  const container = await live.loaded(() => client.loadContainer(id, op));
  const sandbox = parts.sandboxes.require(record.sandboxId);
  const handler = podHandler(parts, sandbox);
  op.undo("log", () => live.closeLog());
  op.undo("task", (call) => purgeTask(client, id, container, call));
  const create = (): Promise<Task> =>
    container.newTask(
      {
        runtimePath: handler.config.shim,
        ...taskOptions(parts, handler, record, sandbox),
        rootfs: snapshotter.mounts(criNamespace, id),
        io: async () => {
          const log = await op.run("log", () => logs.open(logOptionsOf(record), op));
          live.keepLog(log);
          return log;
        },
      },
      op,
    );
  const task = await op.run("create", () => parts.nri.naming(record, create));
  if (live.log) await unlessAborted(live.log.held, op.signal);
  return { task, exit: await task.wait({ signal: parts.lifetime }) };
}

/** What differs from the options of the handler, which the container's record has. */
function taskOptions(
  parts: HandlerNeeds,
  handler: Handler,
  { checkpoint, user }: ContainerRecord,
  sandbox: SandboxRecord,
): Pick<NewTaskOptions, "options"> {
  const mappings = podMappings(parts, sandbox);
  if (checkpoint === undefined && mappings === undefined) return {};
  return {
    options: runtimeOptions(handler, {
      ...(checkpoint !== undefined && { criuImagePath: checkpoint }),
      // The shim's pipes belong to who reads and writes them, so that /dev/stderr can be opened.
      ...(mappings !== undefined && {
        ioUid: hostId(mappings.uids, user.uid),
        ioGid: hostId(mappings.gids, user.gid),
      }),
    }),
  };
}

async function recordFailure(
  parts: Pick<Needs, "containers" | "events" | "log" | "nri">,
  record: ContainerRecord,
  error: unknown,
  call: Cancellable,
): Promise<void> {
  const { message } = toFault(error);
  try {
    await parts.containers.update(record.id, (current) =>
      becomeExited(current, {
        exitCode: startErrorExitCode,
        finishedAtNanos: nowNanos(),
        reason: "StartError",
        message,
      }),
    );
  } catch (failure) {
    parts.log.error({ err: failure, container: record.id }, "failed start not recorded");
  }
  parts.events.publish({ type: "stopped", containerId: record.id, sandboxId: record.sandboxId });
  await parts.nri.stopped(record.id, call);
}
