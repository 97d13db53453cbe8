// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { ContainersContainer, ContainersContainerInit } from "../gen/containers.gen.ts";
import type { TaskTypesProcessInfo } from "../gen/tasks.gen.ts";
import type { TypesDescriptorInit, TypesMetric, TypesMountInit } from "../gen/types.gen.ts";
import type { ProtoAny, ProtoAnyInit } from "../gen/wellknown.gen.ts";

/**
 * The client library, with the shape of containerd's: a Client makes and loads Containers, a
 * Container makes a Task, a Task makes further Processes (execs). It works alike over the
 * in-process services and over gRPC.
 *
 * The order is always:
 *
 *     const exit = await task.wait(call);   // the subscription stands
 *     await task.start(call);
 *     const { exitCode } = await exit.status;
 */
export interface Client {
  readonly namespace: string;
  newContainer(record: ContainersContainerInit, call: Cancellable): Promise<Container>;
  loadContainer(id: string, call: Cancellable): Promise<Container>;
  containers(filters: readonly string[], call: Cancellable): Promise<Container[]>;
}

export interface Container {
  readonly id: string;
  readonly record: ContainersContainer;
  newTask(options: NewTaskOptions, call: Cancellable): Promise<Task>;
  /** The container's present task; NOT_FOUND when it has none. `attach` takes over its IO. */
  task(call: Cancellable, attach?: IoAttach): Promise<Task>;
  /** The same, with all that was answered: who wants the task's state as well need not ask the shim once more. */
  found(call: Cancellable): Promise<FoundTask>;
  update(
    change: Partial<ContainersContainerInit>,
    fields: readonly string[],
    call: Cancellable,
  ): Promise<void>;
  /** FAILED_PRECONDITION while it has a task. */
  delete(call: Cancellable): Promise<void>;
}

/** A task that somebody made, as it was when it was asked for. */
export interface FoundTask {
  readonly task: Task;
  readonly status: ProcessStatus;
  /** The task with its IO taken over. */
  readonly withIo: (attach: IoAttach) => Promise<Task>;
}

export interface NewTaskOptions {
  /** Makes the task's IO before Create: FIFO read ends must be open when the shim opens its own. */
  readonly io: IoCreator;
  /** When left out: the mounts of the container's snapshot, if it names one. */
  readonly rootfs?: readonly TypesMountInit[];
  readonly options?: ProtoAnyInit | null;
  readonly runtimePath?: string;
  readonly checkpoint?: TypesDescriptorInit | null;
}

export type IoCreator = (id: string) => Promise<ProcessIo>;
/** Opens the daemon's ends of existing FIFOs, after a restart. */
export type IoAttach = (config: IoConfig) => Promise<ProcessIo>;

export interface IoConfig {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

/** The caller's ends of a process's streams. Disposing closes them and removes FIFOs it made. */
export interface ProcessIo extends AsyncDisposable {
  readonly config: IoConfig;
  /** Settles when both output streams reached their end; aborting only stops the wait. */
  drained(call: Cancellable): Promise<void>;
  /** Closes our end of stdin, after CloseIO; where the shim has not opened its own yet, once it has. */
  closeStdin(): Promise<void>;
}

export interface ExitStatus {
  /** 255 when it could not be learnt; `error` says why. */
  readonly exitCode: number;
  readonly exitedAtNanos: bigint;
  readonly error?: Error;
}

/** A wait whose subscription stands. `status` never rejects: a failed wait is exit code 255 with `error`. */
export interface ExitHandle {
  readonly status: Promise<ExitStatus>;
}

export interface ProcessStatus {
  readonly state: "created" | "running" | "stopped" | "paused" | "pausing" | "unknown";
  readonly exitCode: number;
  readonly exitedAtNanos: bigint;
}

export interface Process {
  /** The container's id for init, else the exec id. */
  readonly id: string;
  readonly pid: number;
  readonly io: ProcessIo | undefined;
  start(call: Cancellable): Promise<void>;
  kill(signal: number, call: Cancellable, options?: { readonly all?: boolean }): Promise<void>;
  wait(call: Cancellable): Promise<ExitHandle>;
  status(call: Cancellable): Promise<ProcessStatus>;
  /**
   * Closes the process's stdin. With a terminal the shim hangs up instead, and output
   * that is on its way is lost: send the end-of-file character there.
   */
  closeStdin(call: Cancellable): Promise<void>;
  resize(width: number, height: number, call: Cancellable): Promise<void>;
  /** Removes the process and disposes its io; FAILED_PRECONDITION while it runs. Answers how it exited. */
  delete(call: Cancellable): Promise<ExitStatus>;
}

export interface Task extends Process {
  exec(execId: string, spec: unknown, io: IoCreator, call: Cancellable): Promise<Process>;
  /** A handle of an exec that another client may have made, without its io; makes no call. */
  execHandle(execId: string): Process;
  pids(call: Cancellable): Promise<readonly TaskTypesProcessInfo[]>;
  pause(call: Cancellable): Promise<void>;
  resume(call: Cancellable): Promise<void>;
  /** `resources` is an OCI LinuxResources. */
  update(resources: unknown, call: Cancellable): Promise<void>;
  metrics(call: Cancellable): Promise<TypesMetric>;
  checkpoint(options: ProtoAny | null, call: Cancellable): Promise<readonly TypesDescriptorInit[]>;
}
