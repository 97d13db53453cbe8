// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, toFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { nowNanos } from "../../base/now.ts";
import { makeFifo } from "../../base/os/fifo.ts";
import { cgroupMounts } from "../../base/os/mount-table.ts";
import { identify, isAlive, killProcess, type ProcessIdentity } from "../../base/os/proc.ts";
import { timeoutSignal } from "../../base/timers.ts";
import { settlesWithin } from "../../base/waits.ts";
import { parseExactJson } from "../../oci/encode-spec.ts";
import { readSandboxProcess, type SandboxProcess } from "../../oci/sandbox-process.ts";
import { Bundle, type TaskFolders } from "../bundle/bundle.ts";
import { clampToFloor } from "../bundle/clamp-process.ts";
import { foldersIn } from "../bundle/folders-in.ts";
import { cgroupsPath } from "../bundle/spec-text.ts";
import type { CgroupParents } from "../death/cgroup-parents.ts";
import { killLeftovers, removeCgroups } from "../death/leftover-processes.ts";
import { TaskEvents } from "../events/task-events.ts";
import type {
  CreateOptions,
  EventSink,
  PlatformRuntime,
  ProcessExit,
  RecoveryReport,
  Reservation,
  RuntimeTask,
} from "../ports.ts";
import type { ShimBinaries } from "../shim/binary.ts";
import type { ShimLaunch } from "../shim/choose-launch.ts";
import type { PodShims } from "../shim/pod-shims.ts";
import type { ScopeUnits } from "../systemd/scope-units.ts";
import { attempt } from "../task/attempt.ts";
import { watchEnd } from "./process-end.ts";
import { SandboxCgroup } from "./sandbox-cgroup.ts";
import {
  aliveName,
  dropProcess,
  releaseProcess,
  SandboxTask,
  startedName,
  startName,
} from "./sandbox-task.ts";
import { startProcess } from "./start-process.ts";

/** The shims that containers of such pods have. */
const shimRuntime = "io.containerd.runc.v2";
const exitUnknown = 255;
const cleanUpMs = 10_000;

export interface SandboxRuntimeOptions extends TaskFolders {
  /** The pause program, which starts sandbox processes. */
  readonly program: string;
  readonly binaries: ShimBinaries;
  /** How the shims of a runtime start. */
  readonly shimLaunch: (runtime: string, runtimePath: string) => ShimLaunch;
  /** The cgroups above those of tasks. */
  readonly parents: CgroupParents;
  readonly pods: PodShims;
  /** Where the cgroups of specs with systemd's way of naming come from. Disposed with the runtime. */
  readonly scopes: ScopeUnits;
  readonly sink: EventSink;
  readonly log: Logger;
}

/**
 * The runtime of sandbox processes: a pod's first process, started without a shim and an OCI runtime. A process outlives
 * the daemon; its bundle tells the next one of it, which sees its end by the FIFO that it holds. Its containers' shim
 * starts beside it.
 */
export class SandboxRuntime implements PlatformRuntime, Disposable {
  readonly #options: SandboxRuntimeOptions;
  readonly #log: Logger;
  readonly #events: TaskEvents;
  readonly #tasks = new Map<string, SandboxTask>();
  readonly #reserved = new Set<string>();
  readonly #watches = new DisposableStack();
  #mounts: ReturnType<typeof cgroupMounts> | undefined;

  constructor(options: SandboxRuntimeOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#events = new TaskEvents(options.sink, options.log);
  }

  get(namespace: string, id: string): RuntimeTask | undefined {
    return this.#tasks.get(keyOf(namespace, id));
  }

  /** There is no shim that could be late. */
  late(): undefined {
    return undefined;
  }

  list(namespace?: string): readonly RuntimeTask[] {
    const all = [...this.#tasks.values()];
    return namespace === undefined ? all : all.filter((task) => task.namespace === namespace);
  }

  reserve(namespace: string, id: string): Reservation {
    const key = keyOf(namespace, id);
    if (this.#tasks.has(key) || this.#reserved.has(key))
      throw fault("ALREADY_EXISTS", `task "${id}" already exists`);
    this.#reserved.add(key);
    return {
      create: (options, call) => this.#create({ namespace, id }, options, call),
      [Symbol.dispose]: () => this.#reserved.delete(key),
    };
  }

  /** Takes back the processes of an earlier daemon; those that have ended meanwhile are there as stopped tasks. */
  async recover(call: Cancellable): Promise<RecoveryReport> {
    const { bundles, work } = this.#options;
    const recovered: { namespace: string; id: string }[] = [];
    const lost: { namespace: string; id: string; reason: string }[] = [];
    for (const namespace of await foldersIn(bundles)) {
      const ids = await foldersIn(path.join(bundles, namespace));
      await Promise.all(
        ids.map(async (id) => {
          const bundle = new Bundle({ bundles, work, namespace, id });
          if (id.startsWith(".") || !bundle.isOfProcess || this.#tasks.has(keyOf(namespace, id)))
            return;
          const reason = await this.#recoverOne(bundle).catch((err: unknown) => {
            this.#log.error({ err, namespace, task: id }, "sandbox process cannot be recovered");
            return toFault(err).message;
          });
          if (reason === undefined) recovered.push({ namespace, id });
          else lost.push({ namespace, id, reason });
        }),
      );
    }
    call.signal.throwIfAborted();
    return { recovered, lost };
  }

  /** Lets go of all; the processes live on. */
  [Symbol.dispose](): void {
    for (const task of this.#tasks.values()) task.letGo();
    this.#watches.dispose();
    this.#options.scopes[Symbol.dispose]();
  }

  async #create(
    { namespace, id }: { readonly namespace: string; readonly id: string },
    options: CreateOptions,
    call: Cancellable,
  ): Promise<RuntimeTask> {
    const { bundles, work, binaries, parents, pods, program, shimLaunch } = this.#options;
    const { runtimeOptions, runtimePath } = options;
    const spec = clampToFloor(options.spec);
    const process = processIn(id, spec, options);
    const binary = await binaries.resolve(shimRuntime, runtimePath);
    using _parents = await parents.hold(spec, call);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => parents.containerGone());
    const content = { spec, sandboxId: "", shimBinary: binary.path };
    const bundle = await Bundle.create({ bundles, work, namespace, id }, content);
    undo.defer(() => this.#discard(bundle));
    bundle.write("process", "");
    const launch = shimLaunch(shimRuntime, runtimePath);
    pods.startAhead(bundle, { binary, options: runtimeOptions, launch });
    undo.defer(() => pods.remove(bundle));
    const { cgroupsPath, resources } = process.linux;
    const shares = resources.cpu?.shares;
    const cgroup = await this.#cgroupAt(cgroupsPath);
    undo.defer(() => this.#clear(bundle, undefined, cgroup));
    if (cgroup.scope === undefined) await cgroup.make(shares);
    const [alive, start] = [bundle.file(aliveName), bundle.file(startName)];
    for (const fifo of [alive, start]) makeFifo(fifo, 0o600);
    const born = cgroup.scope === undefined ? cgroup : undefined;
    const request = { id, program, process, cgroup: born, alive, start };
    const { pid, exited } = await startProcess(request, call);
    const identity = identify(pid) ?? { pid, startTime: "" };
    undo.defer(async () => {
      killProcess(identity, "SIGKILL");
      await settlesWithin(exited, cleanUpMs);
    });
    if (cgroup.scope !== undefined) {
      const { isUnified } = cgroup;
      await this.#options.scopes.start({ ...cgroup.scope, pid, shares, isUnified }, call);
      await cgroup.adopt(pid);
    }
    bundle.write("process", JSON.stringify({ pid, startTime: identity.startTime, cgroupsPath }));
    const task = this.#list(bundle, { identity, cgroup, isStarted: false, exited });
    this.#events.created(task, { bundle: bundle.path, pid });
    undo.move();
    return task;
  }

  /** The mounts of hierarchies do not change, and the table that has them is long on a full node. */
  async #cgroupAt(place: string): Promise<SandboxCgroup> {
    this.#mounts ??= cgroupMounts();
    return new SandboxCgroup(place, await this.#mounts);
  }

  #list(
    bundle: Bundle,
    facts: {
      readonly identity: ProcessIdentity;
      readonly cgroup: SandboxCgroup;
      readonly isStarted: boolean;
      readonly exited: Promise<number | undefined>;
    },
  ): SandboxTask {
    const task = new SandboxTask({
      bundle,
      ...facts,
      events: this.#events,
      remove: (self, exit) => this.#remove(self, exit),
    });
    this.#tasks.set(keyOf(task.namespace, task.id), task);
    return task;
  }

  // Answers why it is lost, or undefined when it is back.
  async #recoverOne(bundle: Bundle): Promise<string | undefined> {
    // A damaged spec costs nothing: what is needed of it stands beside the process.
    const { identity, place } = noteIn(bundle.readNote("process"));
    const cgroup = await this.#cgroupAt(place ?? cgroupsPath(await bundle.read("config.json")));
    const isStarted = existsSync(bundle.file(startedName));
    if (identity === undefined) {
      // The daemon died before it knew the process, or where that belongs; or none was started.
      dropProcess(bundle);
      await this.#clear(bundle, undefined, cgroup);
      await this.#options.pods.remove(bundle);
      await this.#discard(bundle);
      const exit = { pid: 0, exitStatus: exitUnknown, exitedAtNanos: nowNanos() };
      this.#events.exited(bundle, exit);
      this.#events.deleted(bundle, exit);
      return "it was being started";
    }
    let exited: Promise<number | undefined> = Promise.resolve(exitUnknown);
    if (isAlive(identity)) {
      const watch = this.#watches.use(watchEnd(bundle.file(aliveName)));
      exited = watch.ended.then(() => undefined);
      if (isStarted) releaseProcess(bundle);
    }
    this.#list(bundle, { identity, cgroup, isStarted, exited });
    return undefined;
  }

  async #remove(task: SandboxTask, exit: ProcessExit): Promise<void> {
    const { bundle, cgroup, identity } = task;
    await Promise.all([this.#clear(bundle, identity, cgroup), this.#options.pods.remove(bundle)]);
    await this.#discard(bundle);
    this.#tasks.delete(keyOf(task.namespace, task.id));
    this.#events.deleted(task, exit);
    this.#options.parents.containerGone();
  }

  /** What runs in its cgroup, and that. Never rejects. */
  async #clear(
    { id }: Bundle,
    identity: ProcessIdentity | undefined,
    cgroup: SandboxCgroup,
  ): Promise<void> {
    const step = { log: this.#log, task: id, failure: "sandbox process may have left something" };
    // Each has its own time, however long the one before took: on a busy node nobody else does it.
    await attempt(step, () => killLeftovers(identity, cgroup.folders, timeoutSignal(cleanUpMs)));
    await attempt(step, async () => {
      if (cgroup.scope === undefined) return;
      await this.#options.scopes.stop(cgroup.scope.unit, { signal: timeoutSignal(cleanUpMs) });
    });
    await attempt(step, () =>
      removeCgroups(cgroup.folders, { log: this.#log, signal: timeoutSignal(cleanUpMs) }),
    );
  }

  #discard(bundle: Bundle): Promise<void> {
    const step = { log: this.#log, task: bundle.id, failure: "bundle was not removed" };
    return attempt(step, () => bundle.remove());
  }
}

/** FAILED_PRECONDITION for what only an OCI runtime can do, or a shim. */
function processIn(id: string, spec: Uint8Array, options: CreateOptions): SandboxProcess {
  const { checkpointPath, io, rootfs } = options;
  const refuse = (why: string): Error =>
    fault("FAILED_PRECONDITION", `task "${id}" cannot be a sandbox process: ${why}`);
  if (rootfs.length > 0) throw refuse("its root file system is to be mounted");
  if (checkpointPath !== "") throw refuse("it is to be restored");
  if ([io.stdin, io.stdout, io.stderr].some(Boolean) || io.terminal)
    throw refuse("it is to have streams");
  const read = readSandboxProcess(parse(spec));
  if ("why" in read) throw refuse(read.why);
  return read.process;
}

function parse(spec: Uint8Array): unknown {
  try {
    return parseExactJson(Buffer.from(spec).toString("utf8"));
  } catch (cause) {
    throw fault("INVALID_ARGUMENT", "spec is no JSON", { cause });
  }
}

/**
 * What a bundle tells of its process, and which cgroup it has; nothing before there is one, or of a damaged file. The
 * first daemons that had such processes did not note the cgroup.
 */
function noteIn(text: string): { readonly identity?: ProcessIdentity; readonly place?: string } {
  const [, pid, startTime, place] =
    /^\{"pid":(\d+),"startTime":"(\d+)"(?:,"cgroupsPath":(".+"))?\}$/.exec(text) ?? [];
  if (pid === undefined || startTime === undefined) return {};
  const identity = { pid: Number(pid), startTime };
  return place === undefined
    ? { identity }
    : { identity, place: String(parse(Buffer.from(place))) };
}

function keyOf(namespace: string, id: string): string {
  return `${namespace}/${id}`;
}
