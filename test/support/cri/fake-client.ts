// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../../src/base/errors.ts";
import type {
  Client,
  Container,
  ExitHandle,
  ExitStatus,
  NewTaskOptions,
  Process,
  ProcessIo,
  ProcessStatus,
  Task,
} from "../../../src/client/ports.ts";
import type {
  ContainersContainer,
  ContainersContainerInit,
} from "../../../src/gen/containers.gen.ts";
import { codec } from "../../../src/rpc/codec.ts";
import type { Steps } from "./steps.ts";

/** A process that ends when it is told to, or killed. */
export class FakeProcess implements Process {
  readonly id: string;
  readonly pid: number;
  readonly io: ProcessIo | undefined;
  state: ProcessStatus["state"] = "created";
  /** Signals that do not end it. */
  readonly ignored = new Set<number>();
  readonly signals: number[] = [];
  protected readonly steps: Steps;
  protected readonly name: string;
  readonly #exit = Promise.withResolvers<ExitStatus>();
  #status: ExitStatus = { exitCode: 0, exitedAtNanos: 0n };

  constructor(steps: Steps, name: string, id: string, pid: number, io: ProcessIo | undefined) {
    this.steps = steps;
    this.name = name;
    this.id = id;
    this.pid = pid;
    this.io = io;
  }

  /** Ends it. */
  end(exitCode: number, error?: Error): void {
    if (this.state === "stopped") return;
    this.state = "stopped";
    this.#status = { exitCode, exitedAtNanos: 5_000n, ...(error ? { error } : {}) };
    this.#exit.resolve(this.#status);
  }

  async start(): Promise<void> {
    await this.steps.run(`start ${this.name}`);
    this.state = "running";
  }

  async kill(signal: number): Promise<void> {
    await this.steps.run(`kill ${this.name} ${signal}`);
    if (this.state === "stopped") throw fault("NOT_FOUND", "process already finished");
    this.signals.push(signal);
    if (!this.ignored.has(signal)) this.end(128 + signal);
  }

  async wait(): Promise<ExitHandle> {
    await this.steps.run(`wait ${this.name}`);
    return { status: this.#exit.promise };
  }

  status(): Promise<ProcessStatus> {
    const { exitCode, exitedAtNanos } = this.#status;
    return Promise.resolve({ state: this.state, exitCode, exitedAtNanos });
  }

  async delete(): Promise<ExitStatus> {
    await this.steps.run(`delete ${this.name}`);
    await this.io?.[Symbol.asyncDispose]();
    return this.#status;
  }

  closeStdin(): Promise<void> {
    return Promise.resolve();
  }

  resize(): Promise<void> {
    return Promise.resolve();
  }
}

export class FakeTask extends FakeProcess implements Task {
  readonly execs: { id: string; spec: unknown; process: FakeProcess }[] = [];
  /** What an exec does once it has started. */
  onExec: (process: FakeProcess) => void = (process) => process.end(0);
  readonly updates: unknown[] = [];
  onDelete: () => void = () => {};

  async exec(
    execId: string,
    spec: unknown,
    io: (id: string) => Promise<ProcessIo>,
  ): Promise<Process> {
    await this.steps.run("exec");
    const process = new FakeProcess(this.steps, "exec", execId, this.pid + 1, await io(execId));
    const start = process.start.bind(process);
    process.start = async () => {
      await start();
      this.onExec(process);
    };
    this.execs.push({ id: execId, spec, process });
    return process;
  }

  execHandle(execId: string): Process {
    const made = this.execs.find(({ id }) => id === execId)?.process;
    return made ?? new FakeProcess(this.steps, "unknown exec", execId, 0, undefined);
  }

  override async delete(): Promise<ExitStatus> {
    const status = await super.delete();
    this.onDelete();
    return status;
  }

  async update(resources: unknown): Promise<void> {
    await this.steps.run(`update ${this.name}`);
    this.updates.push(resources);
  }

  pids(): Promise<never[]> {
    return Promise.resolve([]);
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  resume(): Promise<void> {
    return Promise.resolve();
  }

  metrics(): Promise<never> {
    return Promise.reject(fault("UNIMPLEMENTED", "no metrics here"));
  }

  /** Replaced by tests that have CRIU do something. */
  checkpoint: Task["checkpoint"] = () => Promise.resolve([]);
}

class FakeContainer implements Container {
  readonly #client: FakeClient;
  record: ContainersContainer;

  constructor(client: FakeClient, record: ContainersContainer) {
    this.#client = client;
    this.record = record;
  }

  get id(): string {
    return this.record.id;
  }

  /** "sandbox" or "container". */
  get kind(): string {
    return this.record.labels["io.cri-containerd.kind"] ?? "";
  }

  async newTask(options: NewTaskOptions): Promise<Task> {
    const io = await options.io(this.id);
    this.#client.taskOptions.push(options);
    await this.#client.steps.run(`create ${this.kind}`);
    const pid = 1000 + this.#client.tasks.size;
    const task = new FakeTask(this.#client.steps, this.kind, this.id, pid, io);
    task.onDelete = () => this.#client.tasks.delete(this.id);
    this.#client.tasks.set(this.id, task);
    this.#client.onTask(task);
    return task;
  }

  async task(
    _call: unknown,
    attach?: (config: ProcessIo["config"]) => Promise<ProcessIo>,
  ): Promise<Task> {
    const task = this.#client.tasks.get(this.id);
    if (!task) throw fault("NOT_FOUND", `no task "${this.id}"`);
    if (attach)
      await attach({ stdin: "", stdout: "/fifo/out", stderr: "/fifo/err", terminal: false });
    return task;
  }

  async update(change: Partial<ContainersContainerInit>): Promise<void> {
    await this.#client.steps.run("update record");
    this.record = codec("containerd.services.containers.v1.Container").normalize({
      ...this.record,
      ...change,
    });
    this.#client.records.set(this.id, this.record);
  }

  async delete(): Promise<void> {
    await this.#client.steps.run(`delete record ${this.kind}`);
    this.#client.records.delete(this.id);
  }
}

/** The client library over nothing: tasks are objects that a test ends by hand. */
export class FakeClient implements Client {
  readonly namespace = "k8s.io";
  readonly steps: Steps;
  readonly records = new Map<string, ContainersContainer>();
  /** What tasks were made with, in order. */
  readonly taskOptions: NewTaskOptions[] = [];
  readonly tasks = new Map<string, FakeTask>();
  onTask: (task: FakeTask) => void = () => {};

  constructor(steps: Steps) {
    this.steps = steps;
  }

  async newContainer(record: ContainersContainerInit): Promise<Container> {
    const kind = record.labels?.["io.cri-containerd.kind"] ?? "";
    await this.steps.run(`new record ${kind}`);
    const made = codec("containerd.services.containers.v1.Container").normalize(record);
    this.records.set(made.id, made);
    return new FakeContainer(this, made);
  }

  loadContainer(id: string): Promise<Container> {
    const record = this.records.get(id);
    if (!record) return Promise.reject(fault("NOT_FOUND", `container "${id}" not found`));
    return Promise.resolve(new FakeContainer(this, record));
  }

  containers(): Promise<Container[]> {
    return Promise.resolve(
      [...this.records.values()].map((record) => new FakeContainer(this, record)),
    );
  }

  /** The task of the one container or sandbox of this kind. */
  taskOf(kind: "sandbox" | "container"): FakeTask {
    for (const [id, task] of this.tasks) {
      if (this.records.get(id)?.labels["io.cri-containerd.kind"] === kind) return task;
    }
    throw new Error(`no task of a ${kind}`);
  }
}
