// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { fault, toFault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { hostId } from "../../base/os/id-mapping.ts";
import type { ExitHandle, NewTaskOptions, Task } from "../../client/ports.ts";
import { watchContainer } from "../container/exit-monitor.ts";
import { logOptionsOf } from "../container/log-options.ts";
import type { Facade, Verb } from "../facade.ts";
import { type Handler, runtimeOptions } from "../handlers.ts";
import { act } from "../lifecycle/acts.ts";
import { bothSettled } from "../lifecycle/both-settled.ts";
import type { Claim as Operation } from "../lifecycle/claim.ts";
import { UndoStack } from "../lifecycle/undo.ts";
import { criNamespace } from "../ports.ts";
import { podHandler } from "../sandbox/pod-handler.ts";
import { podMappings } from "../sandbox/pod-mappings.ts";
import { readySandbox } from "../sandbox/ready-sandbox.ts";
import {
  becomeExited,
  becomeRunning,
  type ContainerRecord,
  describeState,
} from "../store/container-record.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { purgeTask } from "../task/purge-task.ts";

const startMs = 120_000;
/** What a kubelet shows for a container that could not be started. */
const startErrorExitCode = 128;

/** StartContainer: only from CREATED; a failed start leaves it EXITED with reason StartError. */
export function startContainer(facade: Facade): Verb<"StartContainer"> {
  return async (request, call) => {
    const { id } = facade.containers.require(request.containerId);
    await act(facade, "start", id, (own) => start(facade, id, own), call);
    return {};
  };
}

async function start(facade: Facade, id: string, own: Cancellable): Promise<void> {
  const record = facade.containers.require(id);
  refuseUnlessStartable(facade, record);
  using limit = deadline(startMs, `starting container "${id}"`, own.signal);
  using op = facade.operations.claim("StartContainer", id);
  try {
    await bringUp(facade, op, record, limit);
  } catch (error) {
    await recordFailure(facade, record, error);
    throw error;
  }
}

function refuseUnlessStartable(facade: Facade, record: ContainerRecord): void {
  const { id, state } = record;
  if (state.kind !== "created") {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot start container "${id}": state is ${describeState(state)}, not created`,
    );
  }
  if (facade.liveContainers.of(id).ending) {
    throw fault("FAILED_PRECONDITION", `cannot start container "${id}": it is being removed`);
  }
  readySandbox(facade, record.sandboxId);
}

async function bringUp(
  facade: Facade,
  op: Operation,
  record: ContainerRecord,
  call: Cancellable,
): Promise<void> {
  const { id } = record;
  await using undo = new UndoStack(facade.ports.log.child({ container: id }));
  const { task, exit } = await createTask(facade, op, undo, record, call);
  const oom = await facade.ports.oom.watch(record.cgroupsPath);
  undo.add("watch for OOM kills", async () => oom.forget());
  const running = becomeRunning(record, { pid: task.pid, startedAtNanos: nowNanos() });
  await op.run("start", () =>
    bothSettled(
      () => task.start(call),
      () => facade.containers.write(running),
    ),
  );
  facade.containers.show(running);
  undo.keep();
  watchContainer(facade, id, { task, exit, oom });
  facade.publish({ type: "started", containerId: id, sandboxId: record.sandboxId });
}

async function createTask(
  facade: Facade,
  op: Operation,
  undo: UndoStack,
  record: ContainerRecord,
  call: Cancellable,
): Promise<{ task: Task; exit: ExitHandle }> {
  const { ports } = facade;
  const { id } = record;
  const live = facade.liveContainers.of(id);
  const container = await live.loaded(() => ports.client.loadContainer(id, call));
  const sandbox = facade.sandboxes.require(record.sandboxId);
  const handler = podHandler(facade, sandbox);
  undo.add("log", () => live.closeLog());
  undo.add("task", (own) => purgeTask(ports.client, id, container, own));
  const task = await op.run("create", () =>
    container.newTask(
      {
        runtimePath: handler.config.shim,
        ...taskOptions(facade, handler, record, sandbox),
        rootfs: ports.snapshotter.mounts(criNamespace, id),
        io: async () => {
          const log = await op.run("log", () => ports.logs.open(logOptionsOf(record), call));
          live.keepLog(log);
          return log;
        },
      },
      call,
    ),
  );
  await live.log?.held;
  return { task, exit: await task.wait({ signal: facade.lifetime }) };
}

/** What differs from the options of the handler, which the container's record has. */
function taskOptions(
  facade: Facade,
  handler: Handler,
  { checkpoint, user }: ContainerRecord,
  sandbox: SandboxRecord,
): Pick<NewTaskOptions, "options"> {
  const mappings = podMappings(facade, sandbox);
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
  facade: Facade,
  record: ContainerRecord,
  error: unknown,
): Promise<void> {
  const { message } = toFault(error);
  try {
    await facade.containers.update(record.id, (current) =>
      becomeExited(current, {
        exitCode: startErrorExitCode,
        finishedAtNanos: nowNanos(),
        reason: "StartError",
        message,
      }),
    );
  } catch (failure) {
    facade.ports.log.error({ err: failure, container: record.id }, "failed start not recorded");
  }
  facade.publish({ type: "stopped", containerId: record.id, sandboxId: record.sandboxId });
}
