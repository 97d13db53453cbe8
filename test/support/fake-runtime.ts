// SPDX-License-Identifier: Apache-2.0
// A PlatformRuntime without a kernel. It runs three programs: `sleep` until it is killed,
// `sh -c "exit N"`, and `sh -c "echo TEXT"`; anything else cannot be found when it is started, unless
// it is made to run anything.
import { closeSync, constants, openSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import type { Cancellable } from "../../src/base/cancellable.ts";
import { fault } from "../../src/base/errors.ts";
import { nowNanos } from "../../src/base/now.ts";
import { aborted, unlessAborted } from "../../src/base/waits.ts";
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
  Reservation,
  RuntimeTask,
  ShimFacts,
  TaskIo,
  TaskStatusKind,
} from "../../src/runtime/ports.ts";

let lastPid = 1000;

/** SIGCHLD, SIGCONT, the stopping ones, SIGURG and SIGWINCH, which end nothing by themselves. */
const harmless = [17, 18, 19, 20, 21, 22, 23, 28];

/** A process that ends when it is told to, or by a signal. */
export class FakeProcess {
  readonly pid = ++lastPid;
  readonly exited = Promise.withResolvers<ProcessExit>();
  status: TaskStatusKind = "CREATED";
  exit: ProcessExit | undefined;
  /** Signals that do not end it. */
  readonly ignored = new Set<number>(harmless);
  /** Those it was sent. */
  readonly signals: number[] = [];
  /** Sizes that its terminal was given while it ran. */
  readonly sizes: { readonly width: number; readonly height: number }[] = [];
  readonly args: readonly string[];
  readonly io: TaskIo;
  readonly #onEnd: (process: FakeProcess) => void;

  constructor(args: readonly string[], io: TaskIo, onEnd: (process: FakeProcess) => void) {
    this.args = args;
    this.io = io;
    this.#onEnd = onEnd;
  }

  /** Ends it, as if by itself. */
  end(exitStatus: number): void {
    if (this.exit) return;
    this.finish(exitStatus);
    this.#onEnd(this);
  }

  /** True when it ran to its end at once. */
  run(runsAnything: boolean): boolean {
    const [program, flag, script = ""] = this.args;
    if (runsAnything || program === "sleep") {
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
      try {
        closeSync(openSync(file, constants.O_WRONLY | constants.O_NONBLOCK));
      } catch (error) {
        // Nobody reads, or there is no such file.
        if (!["ENXIO", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
      }
    }
  }
}

/** What a caller asked of the runtime. */
export interface FakeCall {
  readonly verb: "create" | "start" | "kill" | "wait" | "exec" | "update" | "delete";
  readonly id: string;
  readonly execId: string;
  /** Of a kill. */
  readonly signal?: number;
}

export interface FakeRuntimeOptions {
  readonly events?: EventSink;
  /** Called before a call has any effect. The call waits for it, and fails as it does. */
  readonly before?: (call: FakeCall) => Promise<void>;
  /** Whatever the program: it runs until it is killed, or a test ends it. Default false. */
  readonly runsAnything?: boolean;
}

export class FakeRuntime implements PlatformRuntime {
  readonly #tasks = new Map<string, FakeTask>();
  readonly #reserved = new Set<string>();
  readonly #events: EventSink;
  readonly before: (call: FakeCall) => Promise<void>;
  readonly runsAnything: boolean;
  /** Told of each task that is made. */
  onTask: (task: FakeTask) => void = () => {};
  /** Tasks whose State and Stats never answer. */
  readonly silent = new Set<string>();
  /** Tasks whose shim cannot be reached. */
  readonly unreachable = new Set<string>();
  /** Tasks that are not there before their promise settles. */
  readonly lateTasks = new Map<string, Promise<void>>();
  /** What the last create was given. */
  lastCreate: CreateOptions | undefined;

  constructor(options: FakeRuntimeOptions = {}) {
    this.#events = options.events ?? (() => {});
    this.before = options.before ?? (async () => {});
    this.runsAnything = options.runsAnything ?? false;
  }

  reserve(namespace: string, id: string): Reservation {
    const key = `${namespace}/${id}`;
    if (this.#tasks.has(key) || this.#reserved.has(key)) {
      throw fault("ALREADY_EXISTS", `task "${id}" already exists`);
    }
    this.#reserved.add(key);
    return {
      create: (options) => this.#create(namespace, id, options),
      [Symbol.dispose]: () => this.#reserved.delete(key),
    };
  }

  async #create(namespace: string, id: string, options: CreateOptions): Promise<FakeTask> {
    await this.before({ verb: "create", id, execId: "" });
    this.lastCreate = options;
    const task = new FakeTask(this, namespace, id, options);
    this.#tasks.set(`${namespace}/${id}`, task);
    this.onTask(task);
    this.publish(namespace, "/tasks/create", "containerd.events.TaskCreate", {
      containerId: id,
      bundle: task.bundle,
      pid: task.pid,
    });
    return task;
  }

  late(_namespace: string, id: string): Promise<void> | undefined {
    return this.lateTasks.get(id);
  }

  get(namespace: string, id: string): FakeTask | undefined {
    if (this.lateTasks.has(id)) return undefined;
    return this.#tasks.get(`${namespace}/${id}`);
  }

  list(namespace?: string): readonly FakeTask[] {
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

export class FakeTask implements RuntimeTask {
  readonly namespace: string;
  readonly id: string;
  readonly sandboxId: string;
  readonly bundle: string;
  readonly shim: ShimFacts = { pid: 1, apiVersion: 3, address: "unix:///fake" };
  readonly #runtime: FakeRuntime;
  readonly #isRestored: boolean;
  readonly #processes = new Map<string, FakeProcess>();
  /** The resources that it was told to take, in order. */
  readonly updates: unknown[] = [];
  /** All that were ever added, in order. */
  readonly execs: { id: string; spec: unknown; process: FakeProcess }[] = [];
  /** What an exec does once it has started. */
  onExec: (process: FakeProcess) => void = () => {};

  constructor(runtime: FakeRuntime, namespace: string, id: string, options: CreateOptions) {
    this.#runtime = runtime;
    this.namespace = namespace;
    this.id = id;
    this.sandboxId = options.sandboxId;
    this.#isRestored = options.checkpointPath !== "";
    this.bundle = `/fake/${namespace}/${id}`;
    const spec = JSON.parse(Buffer.from(options.spec).toString()) as {
      process: { args: string[] };
    };
    this.#processes.set("", this.#newProcess("", spec.process.args, options.io));
  }

  get init(): FakeProcess {
    return this.#process("");
  }

  /** As with shims: of a task that is restored there is no process before it starts. */
  get pid(): number {
    return this.#isRestored && this.init.status === "CREATED" ? 0 : this.init.pid;
  }

  async state(execId: string, { signal }: Cancellable): Promise<ProcessState> {
    await this.#reach(signal);
    const process = this.#process(execId);
    return {
      id: this.id,
      execId,
      bundle: this.bundle,
      pid: execId === "" ? this.pid : process.pid,
      status: process.status,
      io: process.io,
      exitStatus: process.exit?.exitStatus ?? 0,
      exitedAtNanos: process.exit?.exitedAtNanos ?? 0n,
    };
  }

  async start(execId: string): Promise<number> {
    await this.#before("start", execId);
    const process = this.#process(execId);
    if (process.status !== "CREATED") {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot start "${execId || this.id}": it was started before`,
      );
    }
    const isDone = process.run(this.#runtime.runsAnything);
    const topic = execId === "" ? "/tasks/start" : "/tasks/exec-started";
    const name =
      execId === "" ? "containerd.events.TaskStart" : "containerd.events.TaskExecStarted";
    this.#runtime.publish(this.namespace, topic, name, {
      containerId: this.id,
      execId,
      pid: process.pid,
    });
    if (isDone) this.#publishExit(execId, process);
    if (execId !== "") this.onExec(process);
    return process.pid;
  }

  async kill(options: { execId: string; signal: number; all: boolean }): Promise<void> {
    const { execId, signal } = options;
    await this.#runtime.before({ verb: "kill", id: this.id, execId, signal });
    const process = this.#process(execId);
    if (process.exit || (execId === "" && this.pid === 0)) {
      throw fault("NOT_FOUND", "process already finished");
    }
    process.signals.push(signal);
    if (!process.ignored.has(signal)) process.end(128 + signal);
  }

  async exec(options: { execId: string; io: TaskIo; spec: ProtoAny }): Promise<void> {
    await this.#before("exec", options.execId);
    if (this.#processes.has(options.execId)) {
      throw fault("ALREADY_EXISTS", `exec "${options.execId}" already exists`);
    }
    if (this.#process("").status !== "RUNNING") {
      throw fault("FAILED_PRECONDITION", `cannot exec in task "${this.id}": it is not running`);
    }
    const spec = JSON.parse(options.spec.value.toString()) as { args: string[] };
    const process = this.#newProcess(options.execId, spec.args, options.io);
    this.#processes.set(options.execId, process);
    this.execs.push({ id: options.execId, spec, process });
  }

  async resizePty(options: { execId: string; width: number; height: number }): Promise<void> {
    const { execId, width, height } = options;
    this.#process(execId).sizes.push({ width, height });
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
    await this.#before("update", "");
    this.updates.push(JSON.parse(options.resources.value.toString()) as unknown);
  }

  async stats({ signal }: Cancellable): Promise<ProtoAny> {
    await this.#reach(signal);
    return packAny("io.containerd.cgroups.v1.Metrics", { pids: { current: 1n } });
  }

  async wait(execId: string, { signal }: Cancellable): Promise<ProcessExit> {
    await this.#before("wait", execId);
    return unlessAborted(this.#process(execId).exited.promise, signal);
  }

  async delete(execId: string): Promise<ProcessExit> {
    await this.#before("delete", execId);
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

  #before(verb: FakeCall["verb"], execId: string): Promise<void> {
    return this.#runtime.before({ verb, id: this.id, execId });
  }

  #newProcess(execId: string, args: readonly string[], io: TaskIo): FakeProcess {
    return new FakeProcess(args, io, (process) => this.#publishExit(execId, process));
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
    await aborted(signal);
    signal.throwIfAborted();
  }
}
