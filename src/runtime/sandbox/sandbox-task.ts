// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, openSync, writeSync } from "node:fs";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault, throwFault, toFault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { isAlive, killProcess, type ProcessIdentity } from "../../base/os/proc.ts";
import { sleep, timeoutSignal } from "../../base/timers.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { TaskTypesProcessInfo } from "../../gen/tasks.gen.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { killLeftovers } from "../death/leftover-processes.ts";
import type { TaskEvents } from "../events/task-events.ts";
import type { ProcessExit, ProcessState, RuntimeTask, ShimFacts } from "../ports.ts";
import type { SandboxCgroup } from "./sandbox-cgroup.ts";
import { sandboxStats } from "./sandbox-stats.ts";

const sigkill = 9;
const lastSignal = 64;
/** How long a process may live on after SIGKILL before what holds it is looked for. */
const lingerMs = 1_500;
const leftoversMs = 10_000;

/** In its bundle: the FIFO that the process holds, that which starts it, and the mark that it was started. */
export const aliveName = "alive";
export const startName = "start";
export const startedName = "started";

export interface SandboxTaskParts {
  readonly bundle: Bundle;
  readonly identity: ProcessIdentity;
  readonly cgroup: SandboxCgroup;
  readonly events: TaskEvents;
  readonly isStarted: boolean;
  /**
   * Settles with the exit status when the process is gone; undefined where nobody can tell, since it is no child of
   * ours.
   */
  readonly exited: Promise<number | undefined>;
  /** Removes what the task leaves, and takes it from the list. Never rejects. */
  readonly remove: (task: SandboxTask, exit: ProcessExit) => Promise<void>;
}

/** A sandbox process as a task. It has one process, and nothing can be executed in it. */
export class SandboxTask implements RuntimeTask {
  readonly namespace: string;
  readonly id: string;
  readonly sandboxId = "";
  readonly pid: number;
  readonly shim: ShimFacts = { pid: 0, apiVersion: 0, address: "" };
  readonly bundle: Bundle;
  readonly cgroup: SandboxCgroup;
  readonly identity: ProcessIdentity;
  readonly #parts: SandboxTaskParts;
  readonly #end = Promise.withResolvers<ProcessExit>();
  #isStarted: boolean;
  #exit: ProcessExit | undefined;
  /** Of those that end it, the latest: it tells how one ended that is no child of ours. */
  #sent = 0;
  #removal: Promise<void> | undefined;
  #isLetGo = false;

  constructor(parts: SandboxTaskParts) {
    const { bundle, cgroup, identity } = parts;
    this.namespace = bundle.namespace;
    this.id = bundle.id;
    this.pid = identity.pid;
    this.bundle = bundle;
    this.cgroup = cgroup;
    this.identity = identity;
    this.#parts = parts;
    this.#isStarted = parts.isStarted;
    this.#end.promise.catch(() => {}); // reported to those who wait
    void parts.exited.then((status) => this.#ended(status)); // never rejects
  }

  /** The daemon lets go of it: waits end without an exit, which the next daemon will learn. */
  letGo(): void {
    this.#isLetGo = true;
    this.#end.reject(fault("UNAVAILABLE", `${this.#name} runs on without this daemon`));
  }

  async state(execId: string, _call: Cancellable): Promise<ProcessState> {
    this.#only(execId);
    return {
      id: this.id,
      execId: "",
      bundle: this.bundle.path,
      pid: this.pid,
      status: await this.#status(),
      io: { stdin: "", stdout: "", stderr: "", terminal: false },
      exitStatus: this.#exit?.exitStatus ?? 0,
      exitedAtNanos: this.#exit?.exitedAtNanos ?? 0n,
    };
  }

  async start(execId: string, _call: Cancellable): Promise<number> {
    this.#only(execId);
    if (this.#isStarted || this.#exit !== undefined) {
      const state = this.#exit === undefined ? "running" : "stopped";
      throw fault("FAILED_PRECONDITION", `cannot start ${this.#name}: state is ${state}`);
    }
    this.#isStarted = true;
    // The mark is first: who finds it gives the process its byte again.
    this.bundle.write(startedName, "");
    releaseProcess(this.bundle);
    this.#parts.events.started(this, this.pid);
    return this.pid;
  }

  async kill(
    { execId, signal }: { execId: string; signal: number; all: boolean },
    _call: Cancellable,
  ): Promise<void> {
    this.#only(execId);
    if (!Number.isInteger(signal) || signal < 0 || signal > lastSignal) {
      throw fault("INVALID_ARGUMENT", `cannot kill ${this.#name}: ${signal} is no signal`);
    }
    if (this.#exit !== undefined || !killProcess(this.identity, signal)) {
      throw fault("NOT_FOUND", `cannot kill ${this.#name}: it has ended`);
    }
    if (signal !== 0) this.#sent = signal;
    if (signal === sigkill) void this.#seeItDie();
  }

  async exec(_options: unknown, _call: Cancellable): Promise<void> {
    throw this.#cannot("execute a command in");
  }

  async resizePty({ execId }: { execId: string }, _call: Cancellable): Promise<void> {
    this.#only(execId);
    throw fault("FAILED_PRECONDITION", `cannot resize terminal of ${this.#name}: it has none`);
  }

  async closeStdin(execId: string, _call: Cancellable): Promise<void> {
    this.#only(execId); // and it has none
  }

  async pause(_call: Cancellable): Promise<void> {
    this.#alive("pause");
    await this.cgroup.freeze(true);
  }

  async resume(_call: Cancellable): Promise<void> {
    this.#alive("resume");
    await this.cgroup.freeze(false);
  }

  async pids(_call: Cancellable): Promise<readonly TaskTypesProcessInfo[]> {
    this.#alive("list processes of");
    return (await this.cgroup.pids()).map((pid) => ({ pid, info: null }));
  }

  async checkpoint(_options: unknown, _call: Cancellable): Promise<void> {
    throw this.#cannot("checkpoint");
  }

  async update(_options: unknown, _call: Cancellable): Promise<void> {
    throw this.#cannot("update");
  }

  async stats(_call: Cancellable): Promise<ProtoAny> {
    this.#alive("get stats of");
    return sandboxStats(this.cgroup);
  }

  async wait(execId: string, { signal }: Cancellable): Promise<ProcessExit> {
    if (signal.aborted) throw toFault(signal.reason);
    this.#only(execId);
    return unlessAborted(this.#end.promise, signal).catch(throwFault);
  }

  /** Deleting twice at once is one deletion, which nobody's giving up cuts short. */
  async delete(execId: string, { signal }: Cancellable): Promise<ProcessExit> {
    this.#only(execId);
    const exit = this.#exit;
    if (exit === undefined) {
      const state = this.#isStarted ? "running" : "created";
      throw fault("FAILED_PRECONDITION", `cannot delete ${this.#name}: state is ${state}`);
    }
    this.#removal ??= this.#parts.remove(this, exit);
    await unlessAborted(this.#removal, signal).catch(throwFault);
    return exit;
  }

  get #name(): string {
    return `task "${this.id}"`;
  }

  async #status(): Promise<ProcessState["status"]> {
    if (this.#exit !== undefined) return "STOPPED";
    if (await this.cgroup.isFrozen()) return "PAUSED";
    return this.#isStarted ? "RUNNING" : "CREATED";
  }

  #ended(status: number | undefined): void {
    if (this.#isLetGo) return;
    const exit = {
      pid: this.pid,
      exitStatus: status ?? this.#likelyStatus(),
      exitedAtNanos: nowNanos(),
    };
    this.#exit = exit;
    this.#parts.events.exited(this, exit);
    this.#end.resolve(exit);
  }

  /** pause ends by itself at SIGINT and SIGTERM; else it was killed, and 255 says that nobody knows by what. */
  #likelyStatus(): number {
    if (this.#sent === sigkill) return 128 + sigkill;
    return this.#sent === 2 || this.#sent === 15 ? 0 : 255;
  }

  /** A frozen process of v1 does not even die of SIGKILL. */
  async #seeItDie(): Promise<void> {
    await sleep(lingerMs);
    if (this.#isLetGo || !isAlive(this.identity)) return;
    await killLeftovers(this.identity, this.cgroup.folders, timeoutSignal(leftoversMs));
  }

  #only(execId: string): void {
    if (execId !== "")
      throw fault("NOT_FOUND", `process "${execId}" of ${this.#name} does not exist`);
  }

  #alive(action: string): void {
    if (this.#exit !== undefined)
      throw fault("FAILED_PRECONDITION", `cannot ${action} ${this.#name}: state is stopped`);
  }

  #cannot(action: string): Error {
    return fault("UNIMPLEMENTED", `cannot ${action} ${this.#name}: it is a pod's sandbox process`);
  }
}

/** Lets a process load its program; nothing happens to one that has, or is gone. */
export function releaseProcess(bundle: Bundle): void {
  tell(bundle, "s");
}

/** Ends a process that has not loaded its program; nothing happens to one that has, or is gone. */
export function dropProcess(bundle: Bundle): void {
  tell(bundle, "x");
}

/** In the words of src/pause/sandbox.c. */
function tell(bundle: Bundle, byte: "s" | "x"): void {
  let fd: number;
  try {
    fd = openSync(bundle.file(startName), constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === "ENXIO") return; // nobody reads
    if (byte === "x" && errnoOf(error) === "ENOENT") return; // it was not even begun
    throw error;
  }
  try {
    writeSync(fd, byte);
  } finally {
    closeSync(fd);
  }
}
