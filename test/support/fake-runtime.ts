// SPDX-License-Identifier: Apache-2.0
// A PlatformRuntime without a kernel. It runs three programs: `sleep` until it is killed,
// `sh -c "exit N"`, and `sh -c "echo TEXT"`; anything else cannot be found when it is started.
import { closeSync, constants, openSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import type { Cancellable } from "../../src/base/cancellable.ts";
import { fault } from "../../src/base/errors.ts";
import { nowNanos } from "../../src/base/now.ts";
import type { TaskTypesProcessInfo } from "../../src/gen/tasks.gen.ts";
import type { ProtoAny } from "../../src/gen/wellknown.gen.ts";
import { type MessageName, type Messages, packAny } from "../../src/rpc/codec.ts";
import { timestampOf } from "../../src/rpc/timestamp.ts";
import type {
  CreateOptions,
  EventSink,
  PlatformRuntime,
  ProcessExit,
  ProcessState,
  RecoveryReport,
  RuntimeTask,
  ShimFacts,
  TaskIo,
  TaskStatusKind,
} from "../../src/runtime/ports.ts";

let lastPid = 1000;

class FakeProcess {
  readonly pid = ++lastPid;
  readonly exited = Promise.withResolvers<ProcessExit>();
  status: TaskStatusKind = "CREATED";
  exit: ProcessExit | undefined;
  readonly args: readonly string[];
  readonly io: TaskIo;

  constructor(args: readonly string[], io: TaskIo) {
    this.args = args;
    this.io = io;
  }

  /** True when it ran to its end at once. */
  run(): boolean {
    const [program, flag, script = ""] = this.args;
    if (program === "sleep") {
      this.status = "RUNNING";
      return false;
    }
    const exit = /^exit (\d+)$/.exec(script)?.[1];
    const echo = /^echo (.*)$/.exec(script)?.[1];
    if (program !== "sh" || flag !== "-c" || (exit ?? echo) === undefined) {
      throw fault("NOT_FOUND", `executable "${program}" not found`);
    }
    if (echo !== undefined) this.#write(`${echo}\n`);
    this.finish(Number(exit ?? 0));
    return true;
  }

  finish(exitStatus: number): void {
    this.status = "STOPPED";
    this.exit = { pid: this.pid, exitStatus, exitedAtNanos: nowNanos() };
    this.exited.resolve(this.exit);
    this.#end();
  }

  #write(text: string): void {
    if (this.io.stdout === "") return;
    const fd = openSync(this.io.stdout, constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(fd, text);
    closeSync(fd);
  }

  /** As a shim's does, closing the last write end tells readers of the end. */
  #end(): void {
    for (const file of [this.io.stdout, this.io.stderr]) {
      if (file === "" || file.includes("://")) continue;
      closeSync(openSync(file, constants.O_WRONLY | constants.O_NONBLOCK));
    }
  }
}

export interface FakeRuntimeOptions {
  readonly events?: EventSink;
}

export class FakeRuntime implements PlatformRuntime {
  readonly #tasks = new Map<string, FakeTask>();
  readonly #events: EventSink;
  /** Tasks whose State and Stats never answer. */
  readonly silent = new Set<string>();
  /** Tasks whose shim cannot be reached. */
  readonly unreachable = new Set<string>();
  /** What `create` was given last. */
  lastCreate: CreateOptions | undefined;

  constructor(options: FakeRuntimeOptions = {}) {
    this.#events = options.events ?? (() => {});
  }

  async create(namespace: string, id: string, options: CreateOptions): Promise<RuntimeTask> {
    const key = `${namespace}/${id}`;
    if (this.#tasks.has(key)) throw fault("ALREADY_EXISTS", `task "${id}" already exists`);
    this.lastCreate = options;
    const task = new FakeTask(this, namespace, id, options);
    this.#tasks.set(key, task);
    this.publish(namespace, "/tasks/create", "containerd.events.TaskCreate", {
      containerId: id,
      bundle: task.bundle,
      pid: task.pid,
    });
    return task;
  }

  get(namespace: string, id: string): RuntimeTask | undefined {
    return this.#tasks.get(`${namespace}/${id}`);
  }

  list(namespace?: string): readonly RuntimeTask[] {
    const all = [...this.#tasks.values()];
    return namespace === undefined ? all : all.filter((task) => task.namespace === namespace);
  }

  async recover(): Promise<RecoveryReport> {
    return { recovered: [], lost: [] };
  }

  forget(task: RuntimeTask): void {
    this.#tasks.delete(`${task.namespace}/${task.id}`);
  }

  publish<K extends MessageName>(
    namespace: string,
    topic: string,
    name: K,
    message: Messages[K]["init"],
  ): void {
    this.#events({ timestampNanos: nowNanos(), namespace, topic, event: packAny(name, message) });
  }
}

class FakeTask implements RuntimeTask {
  readonly namespace: string;
  readonly id: string;
  readonly sandboxId: string;
  readonly bundle: string;
  readonly shim: ShimFacts = { pid: 1, apiVersion: 3, address: "unix:///fake" };
  readonly #runtime: FakeRuntime;
  readonly #processes = new Map<string, FakeProcess>();
  readonly updates: ProtoAny[] = [];

  constructor(runtime: FakeRuntime, namespace: string, id: string, options: CreateOptions) {
    this.#runtime = runtime;
    this.namespace = namespace;
    this.id = id;
    this.sandboxId = options.sandboxId;
    this.bundle = `/fake/${namespace}/${id}`;
    const spec = JSON.parse(Buffer.from(options.spec).toString()) as {
      process: { args: string[] };
    };
    this.#processes.set("", new FakeProcess(spec.process.args, options.io));
  }

  get pid(): number {
    return this.#process("").pid;
  }

  async state(execId: string, { signal }: Cancellable): Promise<ProcessState> {
    await this.#reach(signal);
    const process = this.#process(execId);
    return {
      id: this.id,
      execId,
      bundle: this.bundle,
      pid: process.pid,
      status: process.status,
      io: process.io,
      exitStatus: process.exit?.exitStatus ?? 0,
      exitedAtNanos: process.exit?.exitedAtNanos ?? 0n,
    };
  }

  async start(execId: string): Promise<number> {
    const process = this.#process(execId);
    if (process.status !== "CREATED") {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot start "${execId || this.id}": it was started before`,
      );
    }
    const isDone = process.run();
    const topic = execId === "" ? "/tasks/start" : "/tasks/exec-started";
    const name =
      execId === "" ? "containerd.events.TaskStart" : "containerd.events.TaskExecStarted";
    this.#runtime.publish(this.namespace, topic, name, {
      containerId: this.id,
      execId,
      pid: process.pid,
    });
    if (isDone) this.#publishExit(execId, process);
    return process.pid;
  }

  async kill(options: { execId: string; signal: number; all: boolean }): Promise<void> {
    const process = this.#process(options.execId);
    if (process.exit) throw fault("NOT_FOUND", "process already finished");
    if (options.signal !== 9 && options.signal !== 15) return;
    process.finish(128 + options.signal);
    this.#publishExit(options.execId, process);
  }

  async exec(options: { execId: string; io: TaskIo; spec: ProtoAny }): Promise<void> {
    if (this.#processes.has(options.execId)) {
      throw fault("ALREADY_EXISTS", `exec "${options.execId}" already exists`);
    }
    if (this.#process("").status !== "RUNNING") {
      throw fault("FAILED_PRECONDITION", `cannot exec in task "${this.id}": it is not running`);
    }
    const { args } = JSON.parse(options.spec.value.toString()) as { args: string[] };
    this.#processes.set(options.execId, new FakeProcess(args, options.io));
  }

  async resizePty(options: { execId: string }): Promise<void> {
    this.#process(options.execId);
  }

  async closeStdin(execId: string): Promise<void> {
    this.#process(execId);
  }

  async pause(): Promise<void> {
    this.#process("").status = "PAUSED";
  }

  async resume(): Promise<void> {
    this.#process("").status = "RUNNING";
  }

  async pids(): Promise<readonly TaskTypesProcessInfo[]> {
    return [...this.#processes]
      .filter(([, process]) => process.status === "RUNNING")
      .map(([execId, process]) => ({
        pid: process.pid,
        info: execId === "" ? null : packAny("containerd.runc.v1.ProcessDetails", { execId }),
      }));
  }

  /** Writes a file that tells whose image it is. */
  async checkpoint(options: { path: string }): Promise<void> {
    writeFileSync(path.join(options.path, "core-1.img"), `image of ${this.id}`);
  }

  async update(options: { resources: ProtoAny }): Promise<void> {
    this.updates.push(options.resources);
  }

  async stats({ signal }: Cancellable): Promise<ProtoAny> {
    await this.#reach(signal);
    return packAny("io.containerd.cgroups.v1.Metrics", { pids: { current: 1n } });
  }

  async wait(execId: string, { signal }: Cancellable): Promise<ProcessExit> {
    const process = this.#process(execId);
    const given = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
    return Promise.race([process.exited.promise, given]);
  }

  async delete(execId: string): Promise<ProcessExit> {
    const process = this.#process(execId);
    if (process.status === "RUNNING" || process.status === "PAUSED") {
      throw fault("FAILED_PRECONDITION", `cannot delete "${execId || this.id}": it is running`);
    }
    if (execId === "") this.#runtime.forget(this);
    else this.#processes.delete(execId);
    const exit = process.exit ?? { pid: process.pid, exitStatus: 0, exitedAtNanos: nowNanos() };
    this.#runtime.publish(this.namespace, "/tasks/delete", "containerd.events.TaskDelete", {
      containerId: this.id,
      id: execId || this.id,
      pid: exit.pid,
      exitStatus: exit.exitStatus,
      exitedAt: timestampOf(exit.exitedAtNanos),
    });
    return exit;
  }

  #process(execId: string): FakeProcess {
    const process = this.#processes.get(execId);
    if (!process) throw fault("NOT_FOUND", `process "${execId}" of task "${this.id}" not found`);
    return process;
  }

  #publishExit(execId: string, process: FakeProcess): void {
    this.#runtime.publish(this.namespace, "/tasks/exit", "containerd.events.TaskExit", {
      containerId: this.id,
      id: execId || this.id,
      pid: process.pid,
      exitStatus: process.exit?.exitStatus ?? 0,
      exitedAt: timestampOf(process.exit?.exitedAtNanos ?? 0n),
    });
  }

  async #reach(signal: AbortSignal): Promise<void> {
    if (this.#runtime.unreachable.has(this.id)) {
      throw fault("UNAVAILABLE", `shim of task "${this.id}" is gone`);
    }
    if (!this.#runtime.silent.has(this.id)) return;
    await new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  }
}
