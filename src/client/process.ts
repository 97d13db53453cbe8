// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { isFault } from "../base/errors.ts";
import type { TasksDeleteResponse, TaskTypesProcess, TaskTypesStatus } from "../gen/tasks.gen.ts";
import { nanosOf } from "../rpc/timestamp.ts";
import type { ClientScope } from "./client-scope.ts";
import type { ExitHandle, ExitStatus, Process, ProcessIo, ProcessStatus } from "./ports.ts";

const states: Readonly<Record<TaskTypesStatus, ProcessStatus["state"]>> = {
  UNKNOWN: "unknown",
  CREATED: "created",
  RUNNING: "running",
  STOPPED: "stopped",
  PAUSED: "paused",
  PAUSING: "pausing",
};

/** Exit code of a process whose exit could not be learnt. */
const unknownExit = 255;

/** What is known of a process when its handle is made. */
export interface ProcessFacts {
  readonly containerId: string;
  /** "" for a task's init. */
  readonly execId: string;
  /** 0 until it is started. */
  readonly pid: number;
  /** Undefined where its streams are not ours. */
  readonly io: ProcessIo | undefined;
}

/** What a Get has told of a process. */
export function statusOf(process: TaskTypesProcess | null): ProcessStatus {
  return {
    state: states[process?.status ?? "UNKNOWN"],
    exitCode: process?.exitStatus ?? 0,
    exitedAtNanos: nanosOf(process?.exitedAt),
  };
}

/** A process over the Tasks service: a task's init when the exec id is empty, else one exec. */
export class RemoteProcess implements Process {
  protected readonly scope: ClientScope;
  protected readonly containerId: string;
  readonly io: ProcessIo | undefined;
  readonly #execId: string;
  #pid: number;

  constructor(scope: ClientScope, { containerId, execId, pid, io }: ProcessFacts) {
    this.scope = scope;
    this.containerId = containerId;
    this.#execId = execId;
    this.#pid = pid;
    this.io = io;
  }

  get id(): string {
    return this.#execId || this.containerId;
  }

  get pid(): number {
    return this.#pid;
  }

  async start(call: Cancellable): Promise<void> {
    const { services, on } = this.scope;
    const { pid } = await services.tasks.Start(this.#key(), on(call));
    this.#pid = pid;
  }

  async kill(
    signal: number,
    call: Cancellable,
    options: { readonly all?: boolean } = {},
  ): Promise<void> {
    const { services, on } = this.scope;
    await services.tasks.Kill({ ...this.#key(), signal, all: options.all ?? false }, on(call));
  }

  async wait(call: Cancellable): Promise<ExitHandle> {
    const { services, on, inProcess } = this.scope;
    const status = services.tasks.Wait(this.#key(), on(call)).then(
      ({ exitStatus, exitedAt }): ExitStatus => ({
        exitCode: exitStatus,
        exitedAtNanos: nanosOf(exitedAt),
      }),
      (error: unknown): ExitStatus => ({
        exitCode: unknownExit,
        exitedAtNanos: 0n,
        error: error as Error,
      }),
    );
    if (!inProcess) await this.#roundTrip(call);
    return { status };
  }

  async status(call: Cancellable): Promise<ProcessStatus> {
    const { services, on } = this.scope;
    const { process } = await services.tasks.Get(this.#key(), on(call));
    return statusOf(process);
  }

  async closeStdin(call: Cancellable): Promise<void> {
    const { services, on } = this.scope;
    // The shim holds a write end too: the process sees the end only when both are closed.
    await services.tasks.CloseIO({ ...this.#key(), stdin: true }, on(call));
    await this.io?.closeStdin();
  }

  async resize(width: number, height: number, call: Cancellable): Promise<void> {
    const { services, on } = this.scope;
    await services.tasks.ResizePty({ ...this.#key(), width, height }, on(call));
  }

  async delete(call: Cancellable): Promise<ExitStatus> {
    const { exitStatus, exitedAt } = await this.#remove(call);
    await this.io?.[Symbol.asyncDispose]();
    return { exitCode: exitStatus, exitedAtNanos: nanosOf(exitedAt) };
  }

  #remove(call: Cancellable): Promise<TasksDeleteResponse> {
    const { services, on } = this.scope;
    return this.#execId === ""
      ? services.tasks.Delete({ containerId: this.containerId }, on(call))
      : services.tasks.DeleteProcess(this.#key(), on(call));
  }

  /** A connection keeps the order of requests: when this one is answered, the wait sent before it has arrived. */
  async #roundTrip(call: Cancellable): Promise<void> {
    try {
      await this.status(call);
    } catch (error) {
      // The wait itself fails when there is nothing to wait for.
      if (!isFault(error, "NOT_FOUND")) throw error;
    }
  }

  #key(): { containerId: string; execId: string } {
    return { containerId: this.containerId, execId: this.#execId };
  }
}
