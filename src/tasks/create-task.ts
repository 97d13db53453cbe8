// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { ContainersContainer } from "../gen/containers.gen.ts";
import type { TasksCreateTaskRequest } from "../gen/tasks.gen.ts";
import type { ProtoAny } from "../gen/wellknown.gen.ts";
import { unpackAny } from "../rpc/codec.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext } from "../rpc/service.ts";
import type { CreateOptions } from "../runtime/ports.ts";
import { removeRestoreFolder, restoreFolder, unpackCheckpoint } from "./checkpoint-content.ts";
import type { TasksContext, TasksVerb } from "./tasks-context.ts";

/**
 * Create: the container's task, not yet running. ALREADY_EXISTS when it has one. A checkpoint, either
 * a blob in the content store or a folder named in the runc options, makes Start restore it.
 */
export function createTask(context: TasksContext): TasksVerb<"Create"> {
  return async (request, call) => {
    const namespace = requiredNamespace(call);
    const container = context.lookup.container(request.containerId, call);
    if (context.runtime.get(namespace, container.id)) {
      throw fault("ALREADY_EXISTS", `task "${container.id}" already exists`);
    }
    checkOptionsType(container, request.options);
    context.deprecations?.useRuntime(container.runtime?.name ?? "");
    const task = await createFrom(context, container, request, call);
    return { containerId: container.id, pid: task.pid };
  };
}

async function createFrom(
  context: TasksContext,
  container: ContainersContainer,
  request: TasksCreateTaskRequest,
  call: CallContext,
): Promise<{ readonly pid: number }> {
  const namespace = requiredNamespace(call);
  const image = unpackAny("containerd.runc.v1.Options", request.options)?.criuImagePath ?? "";
  if (image !== "" || !request.checkpoint) {
    const options = createOptions(container, request, image);
    return context.runtime.create(namespace, container.id, options, call);
  }
  // The shim reads the image at Start, so the folder stays until the task is deleted.
  const folder = restoreFolder(context, namespace, container.id);
  await removeRestoreFolder(context, namespace, container.id); // a daemon that died may have left one
  try {
    await unpackCheckpoint(context, namespace, request.checkpoint, folder, call);
    const options = createOptions(container, request, folder);
    return await context.runtime.create(namespace, container.id, options, call);
  } catch (error) {
    await removeRestoreFolder(context, namespace, container.id);
    throw error;
  }
}

function createOptions(
  container: ContainersContainer,
  request: TasksCreateTaskRequest,
  checkpointPath: string,
): CreateOptions {
  if (!container.spec)
    throw fault("FAILED_PRECONDITION", `container "${container.id}" has no spec`);
  const { stdin, stdout, stderr, terminal } = request;
  return {
    spec: container.spec.value,
    rootfs: request.rootfs,
    io: { stdin, stdout, stderr, terminal },
    runtime: container.runtime?.name ?? "",
    runtimePath: request.runtimePath,
    runtimeOptions: request.options ?? container.runtime?.options ?? null,
    sandboxId: container.sandbox,
    checkpointPath,
  };
}

/** A runc shim silently ignores options of a type that it does not know, so they are refused here. */
function checkOptionsType(container: ContainersContainer, options: ProtoAny | null): void {
  const runtime = container.runtime?.name ?? "";
  if (!options?.type_url || !runtime.startsWith("io.containerd.runc.")) return;
  if (unpackAny("containerd.runc.v1.Options", options)) return;
  throw fault(
    "INVALID_ARGUMENT",
    `options of task "${container.id}" are a ${options.type_url}, not a containerd.runc.v1.Options`,
  );
}
