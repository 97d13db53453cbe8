// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { ContainersContainer } from "../gen/containers.gen.ts";
import type { TasksCreateTaskRequest } from "../gen/tasks.gen.ts";
import type { ProtoAny } from "../gen/wellknown.gen.ts";
import { unpackAny } from "../rpc/codec.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CreateOptions } from "../runtime/ports.ts";
import { removeRestoreFolder, restoreFolder, unpackCheckpoint } from "./checkpoint-content.ts";
import type { TasksParts, TasksVerb } from "./parts.ts";

type Needs = Pick<
  TasksParts,
  "checkpointDir" | "content" | "deprecations" | "lookup" | "remover" | "runtime"
>;

/**
 * Create: the container's task, not yet running. ALREADY_EXISTS when it has one. A checkpoint, either
 * a blob in the content store or a folder named in the runc options, makes Start restore it.
 */
export function createTask(needs: Needs): TasksVerb<"Create"> {
  return async (request, call) => {
    const namespace = requiredNamespace(call);
    const container = needs.lookup.container(request.containerId, call);
    // Before anything is unpacked: who has reserved the id has its restore folder too.
    using place = needs.runtime.reserve(namespace, container.id);
    checkOptionsType(container, request.options);
    needs.deprecations?.useRuntime(container.runtime?.name ?? "");
    await using undo = new AsyncDisposableStack();
    let image = unpackAny("containerd.runc.v1.Options", request.options)?.criuImagePath ?? "";
    if (image === "" && request.checkpoint) {
      // The shim reads the image at Start, so the folder stays until the task is deleted.
      image = restoreFolder(needs, namespace, container.id);
      await removeRestoreFolder(needs, namespace, container.id); // a daemon that died may have left one
      undo.defer(() => removeRestoreFolder(needs, namespace, container.id));
      const from = { descriptor: request.checkpoint, folder: image };
      await unpackCheckpoint(needs, namespace, from, call);
    }
    const task = await place.create(createOptions(container, request, image), call);
    undo.move();
    return { containerId: container.id, pid: task.pid };
  };
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
