// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { TaskTypesProcessInfo } from "../gen/tasks.gen.ts";
import type { TypesMountInit } from "../gen/types.gen.ts";
import type { ProtoAny } from "../gen/wellknown.gen.ts";

/**
 * The runtime port: what the task service needs of whatever runs containers. There are two
 * implementations, TaskManager (runc v2 shims) and SandboxRuntime (sandbox processes), and Runtimes, which is both; tests
 * have a fake beside the same suite.
 *
 * A *task* is the running side of a container; an *exec* is a further process in it. Every method
 * that waits takes a signal; aborting it gives up the wait, not always the work (ttrpc has no cancel).
 */
export interface PlatformRuntime {
  /**
   * Takes the id for one task, before anything is made for it. ALREADY_EXISTS when the container has a
   * task, or somebody else has reserved the id.
   */
  reserve(namespace: string, id: string): Reservation;
  /** The task, or undefined. From memory. */
  get(namespace: string, id: string): RuntimeTask | undefined;
  /**
   * Of a task of an earlier daemon whose shim has not answered since the start: settles once it is there, or gone.
   * Never rejects.
   */
  late(namespace: string, id: string): Promise<void> | undefined;
  /** All tasks, of one namespace or of all. From memory. */
  list(namespace?: string): readonly RuntimeTask[];
  /** Loads bundles that outlived the daemon and connects to their shims, in parallel, each bounded. */
  recover(call: Cancellable): Promise<RecoveryReport>;
}

/** An id that nobody else can create a task with, until this is disposed. From then on a task that was made holds it. */
export interface Reservation extends Disposable {
  /**
   * Makes the bundle, finds or starts the shim, and creates the task (the init process exists, but
   * does not run). After a failure nothing is left.
   */
  create(options: CreateOptions, call: Cancellable): Promise<RuntimeTask>;
}

export interface RecoveryReport {
  readonly recovered: readonly { readonly namespace: string; readonly id: string }[];
  /** Tasks whose shim was dead or would not answer: cleaned up, their exit synthesised (137 or 255). */
  readonly lost: readonly {
    readonly namespace: string;
    readonly id: string;
    readonly reason: string;
  }[];
}

/** Paths of FIFOs (or `file://`, `binary://` URIs); "" where there is no such stream. */
export interface TaskIo {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

export interface CreateOptions {
  /** The OCI spec, JSON, written as the bundle's config.json. */
  readonly spec: Uint8Array;
  /** Mounts that the shim makes on the bundle's rootfs; empty when root.path is absolute. */
  readonly rootfs: readonly TypesMountInit[];
  readonly io: TaskIo;
  /** Runtime name, `io.containerd.runc.v2` for one. */
  readonly runtime: string;
  /** Path of the shim binary, overriding the lookup by name; "" for the lookup. */
  readonly runtimePath: string;
  /** The runtime's options (containerd.runc.v1.Options for runc): those of Tasks.Create, else the container's. */
  readonly runtimeOptions: ProtoAny | null;
  /** The sandbox whose shim shall parent the task; "" for a shim of its own. */
  readonly sandboxId: string;
  /** Directory of a CRIU image to restore from; "" otherwise. */
  readonly checkpointPath: string;
}

export type TaskStatusKind = "UNKNOWN" | "CREATED" | "RUNNING" | "STOPPED" | "PAUSED" | "PAUSING";

export interface ProcessState {
  readonly id: string;
  readonly execId: string;
  readonly bundle: string;
  readonly pid: number;
  readonly status: TaskStatusKind;
  readonly io: TaskIo;
  readonly exitStatus: number;
  /** Nanoseconds since the epoch; 0n while it runs. */
  readonly exitedAtNanos: bigint;
}

export interface ProcessExit {
  readonly pid: number;
  readonly exitStatus: number;
  readonly exitedAtNanos: bigint;
}

/** A task, by what its shim can be asked. `execId` "" means the init process. */
export interface RuntimeTask {
  readonly namespace: string;
  readonly id: string;
  readonly sandboxId: string;
  /** Init's pid; 0 of a task that is to be restored, until it has started. */
  readonly pid: number;
  readonly shim: ShimFacts;
  state(execId: string, call: Cancellable): Promise<ProcessState>;
  start(execId: string, call: Cancellable): Promise<number>;
  /** UNAVAILABLE when neither the shim nor init's end tells that a SIGKILL came. */
  kill(options: { execId: string; signal: number; all: boolean }, call: Cancellable): Promise<void>;
  exec(options: { execId: string; io: TaskIo; spec: ProtoAny }, call: Cancellable): Promise<void>;
  resizePty(
    options: { execId: string; width: number; height: number },
    call: Cancellable,
  ): Promise<void>;
  closeStdin(execId: string, call: Cancellable): Promise<void>;
  pause(call: Cancellable): Promise<void>;
  resume(call: Cancellable): Promise<void>;
  pids(call: Cancellable): Promise<readonly TaskTypesProcessInfo[]>;
  checkpoint(options: { path: string; options: ProtoAny | null }, call: Cancellable): Promise<void>;
  update(
    options: { resources: ProtoAny; annotations: Readonly<Record<string, string>> },
    call: Cancellable,
  ): Promise<void>;
  /** The cgroup metrics Any as the shim gives it (io.containerd.cgroups.v1/v2.Metrics). */
  stats(call: Cancellable): Promise<ProtoAny>;
  /**
   * Settles when the process has exited, also when its shim died (137 then, or 255 when unknown).
   * NOT_FOUND when there is no such process.
   */
  wait(execId: string, call: Cancellable): Promise<ProcessExit>;
  /** Deletes init (and the bundle, and the shim when it was the last task on it) or one exec. */
  delete(execId: string, call: Cancellable): Promise<ProcessExit>;
}

/** Of a task without a shim, a sandbox process, numbers are 0 and the address is "". */
export interface ShimFacts {
  readonly pid: number;
  /** 2 or 3: the task API version spoken. */
  readonly apiVersion: number;
  readonly address: string;
}

/** Where the runtime sends events (a shim's own, and those synthesised for a dead one). */
export type EventSink = (envelope: {
  readonly timestampNanos: bigint;
  readonly namespace: string;
  readonly topic: string;
  readonly event: ProtoAny;
}) => void;
