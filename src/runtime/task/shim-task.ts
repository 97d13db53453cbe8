// SPDX-License-Identifier: Apache-2.0
import { type Cancellable, cleanupDeadline } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { fault, isFault, throwFault, toFault } from "../../base/errors.ts";
import { hasEnded, identify, isAlive, type ProcessIdentity } from "../../base/os/proc.ts";
import { QuietGate } from "../../base/quiet-gate.ts";
import { SingleFlight } from "../../base/single-flight.ts";
import { startTimer } from "../../base/timers.ts";
import { settlesWithin, unlessAborted } from "../../base/waits.ts";
import type { TaskTypesProcessInfo } from "../../gen/tasks.gen.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { nanosOf } from "../../rpc/timestamp.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { clampProcess } from "../bundle/clamp-process.ts";
import { criuFault } from "../bundle/criu-fault.ts";
import { killStuckCalls, killStuckRuntime } from "../death/stuck-runtime.ts";
import type { ProcessExit, ProcessState, RuntimeTask, TaskIo } from "../ports.ts";
import type { Shim } from "../shim/shim.ts";
import { shimFault } from "../shim/shim-fault.ts";
import { type DeletionParts, deleteInit, deleteOnce } from "./delete-init.ts";
import { DumpTurn } from "./dump-turn.ts";
import { endDump } from "./end-dump.ts";
import { ExitTable } from "./exit-table.ts";
import { InitEnd } from "./init-end.ts";
import { killPastShim, killSilentShim, refuseAlive } from "./past-shim.ts";
import { resumeTask, thawRestored } from "./resume-task.ts";
import { longCallMs, ShimCalls } from "./shim-calls.ts";

/** What a task needs besides its bundle and its shim. */
export interface TaskSurroundings extends DeletionParts {
  readonly timeouts: { readonly shimCleanupMs: number };
}

const sigkill = 9;
/** How long a shim may take to answer a SIGKILL before its processes are killed without it. */
const silentMs = 4_000;
/** How long a process may live on after SIGKILL before what holds it is looked for. */
const lingerMs = 1_500;
/** How long it may stay silent after that before it counts as dead. */
const deadMs = 8_000;
/** How long an exec may take to start for callers that allow more: even a busy node needs seconds. */
const execStartMs = 60_000;

export interface ShimTaskParts {
  readonly bundle: Bundle;
  readonly shim: Shim;
  readonly sandboxId: string;
  readonly pid: number;
  readonly surroundings: TaskSurroundings;
}

/**
 * A task on a shim. Calls go straight through; what it adds is the memory of exits, so that a wait
 * outlives the shim: when that dies, `died` gives every process the exit that the clean-up made up.
 */
export class ShimTask implements RuntimeTask {
  readonly namespace: string;
  readonly id: string;
  readonly sandboxId: string;
  readonly bundle: Bundle;
  readonly shim: Shim;
  #pid: number;
  #initProcess: ProcessIdentity | undefined;
  readonly #surroundings: TaskSurroundings;
  readonly #calls: ShimCalls;
  /**
   * A process that joins the container while it is being frozen never comes to run its program: the
   * OCI runtime waits for it, the shim for that, and every later call for the shim.
   */
  readonly #freezing = new QuietGate();
  readonly #dump = new DumpTurn();
  readonly #exits: ExitTable;
  readonly #death = Promise.withResolvers<ProcessExit>();
  readonly #end = new InitEnd();
  #isSilent = false;
  #isStarting = false;
  /** Pids as Start answers them: the exit of a short exec can arrive before that. */
  readonly #execPids = new Map<string, Promise<number>>();
  #deadExit: ProcessExit | undefined;
  readonly #deleting = new SingleFlight<ProcessExit>({ abandonWhenUnwatched: true });
  #isSeenDying = false;

  constructor(parts: ShimTaskParts) {
    this.namespace = parts.bundle.namespace;
    this.id = parts.bundle.id;
    this.sandboxId = parts.sandboxId;
    this.bundle = parts.bundle;
    this.shim = parts.shim;
    this.#pid = parts.pid;
    this.#initProcess = identify(parts.pid);
    this.#surroundings = parts.surroundings;
    this.#calls = new ShimCalls(parts.shim, parts.bundle);
    this.#death.promise.catch(() => {}); // reported to those who wait
    this.#exits = new ExitTable((execId) => this.#waitForExit(execId));
  }

  /** Init's. 0 for a task that is restored from a checkpoint, until it has started: before there is no process. */
  get pid(): number {
    return this.#pid;
  }

  /** Init, told apart from a later process with its pid; undefined when it was gone already. */
  get initProcess(): ProcessIdentity | undefined {
    return this.#initProcess;
  }

  /** Init's exit as the shim told it, or as we saw it; undefined while it runs. */
  get initExit(): ProcessExit | undefined {
    return this.#end.exit;
  }

  /** False once init is dead, whatever the shim has told of that. One that is to be restored has none before its start. */
  get mayLive(): boolean {
    if (this.#pid === 0) return this.#isStarting;
    return this.#initProcess !== undefined && !hasEnded(this.#initProcess);
  }

  /** We have seen init's exit, and its shim has not told of it. */
  get isUntold(): boolean {
    return this.#end.isUntold;
  }

  /** Its shim has not answered a SIGKILL, and may not answer a deletion either. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** The shim tells of an exit; one of an earlier task with this id is not ours. */
  exited(exit: ProcessExit): void {
    if (exit.pid === this.pid) this.#end.tell(exit);
  }

  /** The shim is dead and the task cleaned up: every wait, pending or later, gets this exit. */
  died(exit: ProcessExit): void {
    this.#deadExit = exit;
    this.#calls.end();
    this.#death.resolve(exit);
  }

  /** The daemon lets go of the task: waits end without an exit, which the next daemon will learn. */
  letGo(): void {
    this.#death.reject(fault("UNAVAILABLE", `${this.#calls.name("")} runs on without this daemon`));
  }

  async state(execId: string, call: Cancellable): Promise<ProcessState> {
    const seen = execId === "" && this.isUntold ? this.initExit : undefined;
    const exit = this.#deadExit ?? seen;
    if (exit !== undefined) return this.#deadState(execId, exit);
    const state = await this.#calls.ask(
      `cannot get state of ${this.#calls.name(execId)}`,
      call,
      (api, options) => api.State({ id: this.id, execId }, options),
    );
    return {
      id: state.id,
      execId: state.execId,
      bundle: state.bundle,
      pid: state.pid,
      status: state.status,
      io: {
        stdin: state.stdin,
        stdout: state.stdout,
        stderr: state.stderr,
        terminal: state.terminal,
      },
      exitStatus: state.exitStatus,
      exitedAtNanos: nanosOf(state.exitedAt),
    };
  }

  async start(execId: string, call: Cancellable): Promise<number> {
    if (execId === "") return this.#start(execId, call);
    const starting = this.#startExec(execId, call);
    const before = this.#execPids.get(execId); // of one that runs: then the shim refuses a second start
    this.#execPids.set(
      execId,
      starting.catch(() => before ?? 0),
    );
    return starting;
  }

  /**
   * SIGKILL gets through whatever the shim does, which may be stopped, dump the task, or wait for an exec that came
   * into a cgroup as that was frozen: the processes are killed past it, and a shim that nobody else
   * needs, its pod's others included, goes with them when it stays silent. Past the shim goes as well what
   * SIGKILL does not end: init waits for its children, which may be frozen in cgroups of their own, or be so
   * many that they get no processor. A shim that others need stays, silent as it is: then init's end is the answer,
   * which nobody has told of, or UNAVAILABLE while it lives.
   */
  async kill(
    options: { execId: string; signal: number; all: boolean },
    call: Cancellable,
  ): Promise<void> {
    const isEnd = options.signal === sigkill && options.execId === "";
    if (isEnd) {
      this.#dump.end(() => fault("FAILED_PRECONDITION", "it is being killed"));
    }
    if (isEnd && this.#isSilent && !this.mayLive) {
      await killSilentShim(this, this.#surroundings.log);
      return;
    }
    const asked = this.#askToKill(options, call);
    if (!isEnd) return asked;
    if (await settlesWithin(asked, silentMs)) {
      this.#seeItDie();
      return asked;
    }
    await this.#killPastShim();
    // A start that hangs holds the shim's other calls for the container, this one too.
    await killStuckCalls(this.shim.pid, this.id);
    if (await settlesWithin(asked, deadMs)) return asked;
    if (await killSilentShim(this, this.#surroundings.log)) return asked;
    refuseAlive(this);
    this.#isSilent = true;
    this.#tellUntoldExit();
  }

  /** Init has ended, and its shim is silent: whoever waits would wait for as long as others keep that shim. */
  #tellUntoldExit(): void {
    if (this.#deadExit !== undefined || this.mayLive) return;
    const exit = this.#end.see(this.#pid, this.#initProcess);
    if (exit === undefined) return;
    const facts = { task: this.id, shim: this.shim.pid, exitStatus: exit.exitStatus };
    this.#surroundings.log.warn(facts, "init has ended, and its shim does not tell");
  }

  #killPastShim(): Promise<void> {
    const { log, timeouts } = this.#surroundings;
    return killPastShim(this, log, timeouts.shimCleanupMs);
  }

  /** Later, and once for any number of kills. A daemon that stops meanwhile does not wait for it. */
  #seeItDie(): void {
    const init = this.initProcess;
    if (init === undefined || this.#isSeenDying) return;
    this.#isSeenDying = true;
    const look = async (): Promise<void> => {
      if (isAlive(init) && !this.shim.isEnding) await this.#killPastShim();
      startTimer(() => {
        this.#isSeenDying = false;
        if (this.shim.isOpen) this.#tellUntoldExit();
      }, deadMs).unref();
    };
    startTimer(() => void look(), lingerMs).unref();
  }

  async #askToKill(
    options: { execId: string; signal: number; all: boolean },
    call: Cancellable,
  ): Promise<void> {
    const action = `cannot kill ${this.#calls.name(options.execId)}`;
    try {
      await this.#calls.ask(action, call, (api, callOptions) =>
        api.Kill({ id: this.id, ...options }, callOptions),
      );
    } catch (error) {
      if (!isFault(error, "UNAVAILABLE") || this.shim.isOpen) throw error;
      // The shim died: its processes are being killed just now.
      await this.#untilCleanedUp(call);
      throw fault("NOT_FOUND", `${action}: the task has ended`, { cause: error });
    }
  }

  async exec(
    options: { execId: string; io: TaskIo; spec: ProtoAny },
    call: Cancellable,
  ): Promise<void> {
    const { execId, io } = options;
    if (execId === "") throw fault("INVALID_ARGUMENT", "exec id is empty");
    const spec = clampProcess(options.spec);
    await this.#calls.ask(`cannot add ${this.#calls.name(execId)}`, call, (api, callOptions) =>
      api.Exec({ id: this.id, execId, ...io, spec }, callOptions),
    );
    this.#exits.forget(execId); // an earlier exec of that name
    this.#execPids.delete(execId);
  }

  async resizePty(
    options: { execId: string; width: number; height: number },
    call: Cancellable,
  ): Promise<void> {
    await this.#calls.ask(
      `cannot resize terminal of ${this.#calls.name(options.execId)}`,
      call,
      (api, o) => api.ResizePty({ id: this.id, ...options }, o),
    );
  }

  async closeStdin(execId: string, call: Cancellable): Promise<void> {
    await this.#calls.ask(
      `cannot close stdin of ${this.#calls.name(execId)}`,
      call,
      (api, options) => api.CloseIO({ id: this.id, execId, stdin: true }, options),
    );
  }

  /** Once no exec is being started. */
  async pause(call: Cancellable): Promise<void> {
    await this.#freezing.whenQuiet(
      () =>
        this.#calls.ask(`cannot pause ${this.#calls.name("")}`, call, (api, o) =>
          api.Pause({ id: this.id }, o),
        ),
      call,
    );
  }

  async resume(call: Cancellable): Promise<void> {
    const ask = async (): Promise<void> => {
      await this.#calls.ask(`cannot resume ${this.#calls.name("")}`, call, (api, o) =>
        api.Resume({ id: this.id }, o),
      );
    };
    await resumeTask(this, ask, call);
  }

  async pids(call: Cancellable): Promise<readonly TaskTypesProcessInfo[]> {
    const { processes } = await this.#calls.ask(
      `cannot list processes of ${this.#calls.name("")}`,
      call,
      (api, o) => api.Pids({ id: this.id }, o),
    );
    return processes;
  }

  async checkpoint(
    options: { path: string; options: ProtoAny | null },
    call: Cancellable,
  ): Promise<void> {
    const action = `cannot checkpoint ${this.#calls.name("")}`;
    using dump = this.#dump.begin(action, call);
    try {
      await this.#calls.ask(
        action,
        dump,
        (api, o) => api.Checkpoint({ id: this.id, ...options }, o),
        longCallMs,
      );
    } catch (error) {
      // Nobody waits for it any more, or its runtime was killed: CRIU must not go on with it.
      if (this.shim.isOpen) await endDump(this);
      throw await criuFault(toFault(error), this.bundle);
    }
  }

  async update(
    options: { resources: ProtoAny; annotations: Readonly<Record<string, string>> },
    call: Cancellable,
  ): Promise<void> {
    await this.#calls.ask(`cannot update ${this.#calls.name("")}`, call, (api, o) =>
      api.Update({ id: this.id, ...options }, o),
    );
  }

  async stats(call: Cancellable): Promise<ProtoAny> {
    const { stats } = await this.#calls.ask(
      `cannot get stats of ${this.#calls.name("")}`,
      call,
      (api, o) => api.Stats({ id: this.id }, o),
    );
    if (stats === null) throw fault("NOT_FOUND", `${this.#calls.name("")} has no stats`);
    return stats;
  }

  async wait(execId: string, { signal }: Cancellable): Promise<ProcessExit> {
    if (signal.aborted) throw toFault(signal.reason);
    return this.#exits.wait(execId, signal);
  }

  /** Deleting twice at once is one deletion: both callers get the exit, and it goes on as long as one of them waits. */
  async delete(execId: string, call: Cancellable): Promise<ProcessExit> {
    if (execId !== "") return this.#deleteExec(execId, call);
    return this.#deleting.join("", (own) => this.#deleteInit(own), call).catch(throwFault);
  }

  async #deleteInit(call: Cancellable): Promise<ProcessExit> {
    if (this.#deadExit !== undefined) return this.#deadExit;
    try {
      return await deleteInit(this, this.#calls, this.#surroundings, call);
    } catch (error) {
      if (!isFault(error, "UNAVAILABLE") || this.shim.isOpen) throw error;
      return this.#untilCleanedUp(call);
    }
  }

  async #deleteExec(execId: string, call: Cancellable): Promise<ProcessExit> {
    const exit = await deleteOnce(execId, this.id, this.#calls, call);
    this.#exits.forget(execId);
    this.#execPids.delete(execId);
    return exit;
  }

  // Runs without a caller's signal: it is shared by all who wait, now and later.
  async #waitForExit(execId: string): Promise<ProcessExit> {
    if (this.#deadExit !== undefined) return { ...this.#deadExit, pid: await this.#pidOf(execId) };
    try {
      const told = this.#askForExit(execId);
      if (execId !== "") return await told;
      told.then((exit) => this.exited(exit)).catch(() => {});
      return await Promise.race([told, this.#end.seen]);
    } catch (error) {
      if (this.shim.isOpen) throw shimFault(error, `cannot wait for ${this.#calls.name(execId)}`);
      return { ...(await this.#death.promise), pid: await this.#pidOf(execId) };
    }
  }

  async #askForExit(execId: string): Promise<ProcessExit> {
    const { exitStatus, exitedAt } = await this.shim.api.Wait(
      { id: this.id, execId },
      { namespace: this.namespace },
    );
    return { pid: await this.#pidOf(execId), exitStatus, exitedAtNanos: nanosOf(exitedAt) };
  }

  async #untilCleanedUp({ signal }: Cancellable): Promise<ProcessExit> {
    return unlessAborted(this.#death.promise, signal).catch(throwFault);
  }

  async #deadState(execId: string, exit: ProcessExit): Promise<ProcessState> {
    return {
      id: this.id,
      execId,
      bundle: this.bundle.path,
      pid: await this.#pidOf(execId),
      status: "STOPPED",
      io: { stdin: "", stdout: "", stderr: "", terminal: false },
      exitStatus: exit.exitStatus,
      exitedAtNanos: exit.exitedAtNanos,
    };
  }

  /** A runtime that does not come back is killed: the shim starts nothing else in the pod meanwhile. */
  async #startExec(execId: string, call: Cancellable): Promise<number> {
    using _place = await this.shim.execStarts.acquire(call);
    using _turn = await this.#freezing.enter(call);
    using limit = deadline(execStartMs, `starting ${this.#calls.name(execId)}`, call.signal);
    try {
      return await this.#start(execId, limit);
    } catch (error) {
      if (limit.signal.aborted && this.shim.isOpen) {
        await killStuckRuntime(this.shim.pid, `${this.bundle.path}/${execId}.pid`);
      }
      throw error;
    }
  }

  async #start(execId: string, call: Cancellable): Promise<number> {
    if (execId === "") this.#isStarting = true;
    try {
      const { pid } = await this.#calls.ask(
        `cannot start ${this.#calls.name(execId)}`,
        call,
        (api, options) => api.Start({ id: this.id, execId }, options),
        longCallMs, // of a restore
      );
      if (execId === "" && this.#pid === 0) {
        this.#pid = pid;
        this.#initProcess = identify(pid);
        await thawRestored(this);
      }
      return pid;
    } catch (error) {
      if (execId !== "") throw error;
      throw await criuFault(toFault(error), this.bundle);
    } finally {
      if (execId === "") this.#isStarting = false;
    }
  }

  async #pidOf(execId: string): Promise<number> {
    if (execId === "") return this.pid;
    const started = await this.#execPids.get(execId);
    if (started !== undefined) return started;
    try {
      // Started before a restart of the daemon: the shim remembers.
      const { pid } = await this.shim.api.State(
        { id: this.id, execId },
        { namespace: this.namespace, signal: cleanupDeadline() },
      );
      return pid;
    } catch {
      return 0;
    }
  }
}
