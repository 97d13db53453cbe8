// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { ContainersContainer, ContainersContainerInit } from "../gen/containers.gen.ts";
import type { TypesMount } from "../gen/types.gen.ts";
import type { ClientScope } from "./client-scope.ts";
import type { Container, FoundTask, IoAttach, NewTaskOptions, ProcessIo, Task } from "./ports.ts";
import { statusOf } from "./process.ts";
import { RemoteTask } from "./task.ts";

export class RemoteContainer implements Container {
  readonly #scope: ClientScope;
  #record: ContainersContainer;

  constructor(scope: ClientScope, record: ContainersContainer) {
    this.#scope = scope;
    this.#record = record;
  }

  get id(): string {
    return this.#record.id;
  }

  get record(): ContainersContainer {
    return this.#record;
  }

  async newTask(options: NewTaskOptions, call: Cancellable): Promise<Task> {
    const { services, on } = this.#scope;
    await using stack = new AsyncDisposableStack();
    const rootfs = options.rootfs ?? (await this.#snapshotMounts(call));
    const io = stack.use(await options.io(this.id));
    const request = {
      containerId: this.id,
      rootfs,
      ...io.config,
      checkpoint: options.checkpoint ?? null,
      options: options.options ?? null,
      runtimePath: options.runtimePath ?? "",
    };
    const { pid } = await services.tasks.Create(request, on(call));
    stack.move(); // the task owns its io from here
    return new RemoteTask(this.#scope, this.id, pid, io);
  }

  /** FAILED_PRECONDITION when there is a snapshot and no service to ask for its mounts. */
  async #snapshotMounts(call: Cancellable): Promise<readonly TypesMount[]> {
    const { snapshotter, snapshotKey: key } = this.#record;
    if (key === "") return [];
    const { services, on } = this.#scope;
    if (!services.snapshots) {
      throw fault(
        "FAILED_PRECONDITION",
        `container "${this.id}" has snapshot "${key}", and this client has no Snapshots service`,
      );
    }
    const { mounts } = await services.snapshots.Mounts({ snapshotter, key }, on(call));
    return mounts;
  }

  async task(call: Cancellable, attach?: IoAttach): Promise<Task> {
    const { task, withIo } = await this.found(call);
    return attach === undefined ? task : withIo(attach);
  }

  async found(call: Cancellable): Promise<FoundTask> {
    const { services, on } = this.#scope;
    const { process } = await services.tasks.Get({ containerId: this.id }, on(call));
    if (!process) throw fault("NOT_FOUND", `task "${this.id}" not found`);
    const { pid, stdin, stdout, stderr, terminal } = process;
    const taskWith = (io: ProcessIo | undefined): Task =>
      new RemoteTask(this.#scope, this.id, pid, io);
    return {
      task: taskWith(undefined),
      status: statusOf(process),
      withIo: async (attach) => taskWith(await attach({ stdin, stdout, stderr, terminal })),
    };
  }

  async update(
    change: Partial<ContainersContainerInit>,
    fields: readonly string[],
    call: Cancellable,
  ): Promise<void> {
    const { services, on } = this.#scope;
    const request = { container: { ...change, id: this.id }, updateMask: { paths: fields } };
    const { container } = await services.containers.Update(request, on(call));
    if (container) this.#record = container;
  }

  async delete(call: Cancellable): Promise<void> {
    const { services, on } = this.#scope;
    await services.containers.Delete({ id: this.id }, on(call));
  }
}
