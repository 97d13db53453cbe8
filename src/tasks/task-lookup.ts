// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { ContainersContainer } from "../gen/containers.gen.ts";
import type { RecordTable } from "../metadata/ports.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext } from "../rpc/service.ts";
import { notYetKnown } from "../runtime/not-yet-known.ts";
import type { PlatformRuntime, RuntimeTask } from "../runtime/ports.ts";

/** Finds what a call is about, in memory. The container's record must exist before its task counts. */
export class TaskLookup {
  readonly #runtime: PlatformRuntime;
  readonly #containers: RecordTable<ContainersContainer>;

  constructor(runtime: PlatformRuntime, containers: RecordTable<ContainersContainer>) {
    this.#runtime = runtime;
    this.#containers = containers;
  }

  /** NOT_FOUND when there is no such container. */
  container(id: string, context: CallContext): ContainersContainer {
    const container = this.#containers.get(requiredNamespace(context), id);
    if (!container) throw fault("NOT_FOUND", `container "${id}" not found`);
    return container;
  }

  /** NOT_FOUND when there is no such container, or it has no task; UNAVAILABLE while that is not known yet. */
  task(id: string, context: CallContext): RuntimeTask {
    this.container(id, context);
    const namespace = requiredNamespace(context);
    const task = this.#runtime.get(namespace, id);
    if (task) return task;
    if (this.#runtime.late(namespace, id)) throw notYetKnown(id);
    throw fault("NOT_FOUND", `task "${id}" not found`);
  }
}
