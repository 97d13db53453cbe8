// SPDX-License-Identifier: Apache-2.0
import { rmSync } from "node:fs";
import type { Cancellable } from "../base/cancellable.ts";
import { timeLimit } from "../base/deadline.ts";
import { fault, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { MappedMountOptions } from "../base/os/mapped-mount.ts";
import { Bundle, type TaskFolders } from "./bundle/bundle.ts";
import { clampToFloor } from "./bundle/clamp-process.ts";
import { checkKernelPlaces } from "./bundle/kernel-places.ts";
import { mountMappedRootfs } from "./bundle/mapped-rootfs.ts";
import { CgroupParents } from "./death/cgroup-parents.ts";
import { endDeadTask } from "./death/dead-task.ts";
import { recoverTasks } from "./death/recover.ts";
import { DeletionNotices, type ShimEventSource } from "./events/deletion-notices.ts";
import { onTaskExit } from "./events/exit-notices.ts";
import { TaskEvents } from "./events/task-events.ts";
import { notYetKnown } from "./not-yet-known.ts";
import type {
  CreateOptions,
  EventSink,
  PlatformRuntime,
  RecoveryReport,
  Reservation,
  RuntimeTask,
} from "./ports.ts";
import { ShimBinaries, type ShimBinary } from "./shim/binary.ts";
import type { Bootstrap } from "./shim/bootstrap-answer.ts";
import { isDirect, type ShimLaunch } from "./shim/choose-launch.ts";
import { createLauncher } from "./shim/create-launcher.ts";
import type { LaunchRequest, ShimLauncher } from "./shim/launcher.ts";
import { ShimLogPump } from "./shim/log-pump.ts";
import { placeForShim } from "./shim/place-for-shim.ts";
import { type PodShimStart, PodShims } from "./shim/pod-shims.ts";
import type { Shim } from "./shim/shim.ts";
import { ShimPool } from "./shim/shim-pool.ts";
import { killStrayShims } from "./shim/stray-shim.ts";
import { attempt } from "./task/attempt.ts";
import { createInShim, discardFailedCreate } from "./task/create-in-shim.ts";
import type { DeletedTask } from "./task/delete-init.ts";
import { ShimTask, type TaskSurroundings } from "./task/shim-task.ts";

const dialLimitMs = 10_000;
/** Shorter where there is another way to try. */
const directDialLimitMs = 3_000;
/** A shim may be ending just when it is wanted; each attempt waits for that one to be gone. */
const launchAttempts = 3;

export interface TaskManagerOptions extends TaskFolders {
  /** File of the parent cgroups that were made for containers. */
  readonly madeCgroups: string;
  /** Path of the daemon's gRPC socket. */
  readonly grpcAddress: string;
  /** Path of the event socket, see listenEvents. */
  readonly ttrpcAddress: string;
  readonly log: Logger;
  readonly sink: EventSink;
  readonly timeouts: {
    readonly shimLoadMs: number;
    readonly shimCleanupMs: number;
    readonly shimShutdownMs: number;
  };
  /** What listenEvents answered: with it the last delete event of a shim is never lost. */
  readonly shimEvents?: ShimEventSource;
  readonly launcher?: ShimLauncher;
  /** How the shims of a runtime start; "auto" for all when left out. */
  readonly shimLaunch?: (runtime: string, runtimePath: string) => ShimLaunch;
  readonly binaries?: ShimBinaries;
  /** For root file systems with mapped owners; left out, shims must know how. */
  readonly mappedMounts?: MappedMountOptions;
  /** A shim has ended by itself, and with it these tasks. Must not throw. */
  readonly onShimDeath?: (pid: number, tasks: readonly string[]) => void;
}

/** The runtime over runc v2 shims. Disposing it drops the connections; shims and containers run on. */
export class TaskManager implements PlatformRuntime, AsyncDisposable {
  readonly #options: TaskManagerOptions;
  readonly #log: Logger;
  readonly #binaries: ShimBinaries;
  readonly #launcher: ShimLauncher;
  readonly #pool: ShimPool;
  readonly #events: TaskEvents;
  readonly #notices: DeletionNotices | undefined;
  readonly #exits: Disposable | undefined;
  /** The cgroups above containers and sandboxes. */
  readonly parents: CgroupParents;
  /** The shims of pods whose sandbox is a process. */
  readonly pods: PodShims;
  readonly #surroundings: TaskSurroundings;
  readonly #tasks = new Map<string, ShimTask>();
  readonly #reserved = new Set<string>();
  /** Tasks of an earlier daemon whose shims have not answered yet. */
  readonly #late = new Map<string, Promise<void>>();
  #isClosing = false;

  constructor(options: TaskManagerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#binaries = options.binaries ?? new ShimBinaries();
    this.#launcher = options.launcher ?? createLauncher(options);
    this.#events = new TaskEvents(options.sink, options.log);
    this.parents = new CgroupParents(options.madeCgroups, options.log);
    this.#notices = options.shimEvents && new DeletionNotices(options.shimEvents);
    this.#surroundings = {
      log: options.log,
      timeouts: options.timeouts,
      events: this.#events,
      notices: this.#notices,
      forget: (task) => this.#forget(task),
      release: (shim, taskId) => this.#release(shim, taskId),
      containerGone: () => this.parents.containerGone(),
    };
    this.pods = new PodShims({
      log: options.log,
      launch: (bundle, { binary, options, launch }, call) => {
        rmSync(bundle.file("log"), { force: true }); // of one before
        const alone = { binary, id: bundle.id, sandboxId: "", spec: Buffer.alloc(0), options };
        const request = { binary, bundle, options, isDirect: isDirect(launch, alone) };
        return this.#launchShim(request, call);
      },
      release: (shim, id) => this.#release(shim, id),
    });
    this.#exits =
      options.shimEvents &&
      onTaskExit(options.shimEvents, (namespace, id, exit) =>
        this.#tasks.get(keyOf(namespace, id))?.exited(exit),
      );
    // The watch lives as long as the shim and reports its own failures.
    this.#pool = new ShimPool((shim) => void this.#watch(shim));
  }

  get(namespace: string, id: string): RuntimeTask | undefined {
    return this.#tasks.get(keyOf(namespace, id));
  }

  late(namespace: string, id: string): Promise<void> | undefined {
    return this.#late.get(keyOf(namespace, id));
  }

  list(namespace?: string): readonly RuntimeTask[] {
    const all = [...this.#tasks.values()];
    return namespace === undefined ? all : all.filter((task) => task.namespace === namespace);
  }

  reserve(namespace: string, id: string): Reservation {
    const key = keyOf(namespace, id);
    if (this.#isKnown(key)) throw fault("ALREADY_EXISTS", `task "${id}" already exists`);
    this.#reserved.add(key);
    return {
      create: (options, call) => this.#create({ namespace, id }, options, call),
      [Symbol.dispose]: () => this.#reserved.delete(key),
    };
  }

  async recover(call: Cancellable): Promise<RecoveryReport> {
    const report = await recoverTasks(
      {
        bundles: this.#options.bundles,
        work: this.#options.work,
        pool: this.#pool,
        binaries: this.#binaries,
        grpcAddress: this.#options.grpcAddress,
        loadTimeoutMs: this.#options.timeouts.shimLoadMs,
        log: this.#log,
        isKnown: (namespace, id) => this.#isKnown(keyOf(namespace, id)),
        adopt: (bundle, shim, sandboxId, pid) => this.#adopt(bundle, shim, sandboxId, pid),
        adoptPod: (bundle, shim) => this.pods.adopt(bundle, shim),
        killStrays: (bundle, binary) => this.#killStrays(bundle, binary, []),
        abandon: (bundle, binary, shim) => this.#abandon(bundle, binary, shim),
      },
      call,
    );
    this.parents.containerGone();
    for (const [key, work] of report.late) {
      this.#late.set(
        key,
        work.finally(() => this.#late.delete(key)),
      );
    }
    return report;
  }

  /** Removes parent cgroups that no container is in any more; it also happens by itself, a little later. */
  removeEmptyCgroups(call: Cancellable): Promise<void> {
    return this.parents.removeEmpty(call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    this.#notices?.[Symbol.dispose]();
    this.#exits?.[Symbol.dispose]();
    for (const task of this.#tasks.values()) task.letGo();
    await this.pods[Symbol.asyncDispose]();
    await this.#pool.disconnect();
    await this.parents[Symbol.asyncDispose]();
  }

  #isKnown(key: string): boolean {
    return this.#tasks.has(key) || this.#reserved.has(key) || this.#late.has(key);
  }

  async #create(
    { namespace, id }: { readonly namespace: string; readonly id: string },
    options: CreateOptions,
    call: Cancellable,
  ): Promise<RuntimeTask> {
    const { bundles, work, mappedMounts } = this.#options;
    if (this.late(namespace, options.sandboxId)) throw notYetKnown(options.sandboxId);
    const [binary] = await Promise.all([
      this.#binaries.resolve(options.runtime, options.runtimePath),
      checkKernelPlaces(id, options.rootfs),
    ]);
    const place = { bundles, work, namespace, id };
    using _parents = await this.parents.hold(options.spec, call);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.parents.containerGone());
    const bundle = await Bundle.create(place, {
      spec: clampToFloor(options.spec),
      sandboxId: options.sandboxId,
      shimBinary: binary.path,
    });
    undo.defer(() => this.#discard(bundle));
    const launch = this.#options.shimLaunch?.(options.runtime, options.runtimePath) ?? "auto";
    const { runtimeOptions, sandboxId, spec } = options;
    const facts = { binary, id, sandboxId, spec, options: runtimeOptions };
    const shim = await this.#holdShim(
      { binary, bundle, options: runtimeOptions, isDirect: isDirect(launch, facts), launch },
      options.sandboxId,
      call,
    );
    undo.defer(() => this.#release(shim, id));
    if (call.signal.aborted) throw toFault(call.signal.reason);
    const rootfs =
      mappedMounts === undefined
        ? options.rootfs
        : await mountMappedRootfs(options.rootfs, bundle.rootfs, mappedMounts);
    const creation = createInShim(shim, bundle, { ...options, rootfs });
    undo.defer(() =>
      attempt({ log: this.#log, task: id, failure: "failed task may have left something" }, () =>
        discardFailedCreate(creation, shim, bundle, this.#deathOf(bundle, binary)),
      ),
    );
    const pid = await creation.result(call);
    const task = this.#adopt(bundle, shim, options.sandboxId, pid);
    undo.move();
    return task;
  }

  // Throws UNAVAILABLE when the shim has died meanwhile: its watch ran before the task was listed.
  #adopt(bundle: Bundle, shim: Shim, sandboxId: string, pid: number): ShimTask {
    if (!shim.isOpen) throw fault("UNAVAILABLE", `shim of task "${bundle.id}" died`);
    const task = new ShimTask({ bundle, shim, sandboxId, pid, surroundings: this.#surroundings });
    shim.serve(task);
    this.#tasks.set(keyOf(task.namespace, task.id), task);
    return task;
  }

  async #holdShim(
    request: LaunchRequest & PodShimStart,
    sandboxId: string,
    call: Cancellable,
  ): Promise<Shim> {
    const { bundle, binary } = request;
    const sandbox = this.#sandboxShim(bundle, sandboxId);
    if (sandbox !== undefined && canShare(sandbox, binary)) {
      if (sandbox.hold(bundle.id)) {
        noteShim(bundle, sandbox.bootstrap);
        return sandbox;
      }
      await sandbox.gone;
    }
    const pods = await this.pods.hold(bundle, sandboxId, request, call);
    if (pods === undefined) return this.#launchShim(request, call);
    noteShim(bundle, pods.bootstrap);
    return pods;
  }

  #sandboxShim(bundle: Bundle, sandboxId: string): Shim | undefined {
    if (sandboxId === "" || sandboxId === bundle.id) return undefined;
    return this.#tasks.get(keyOf(bundle.namespace, sandboxId))?.shim;
  }

  async #launchShim(request: LaunchRequest, { signal }: Cancellable): Promise<Shim> {
    const { bundle } = request;
    using pump = new DisposableStack();
    const log = this.#log.child({ task: bundle.id });
    const logPump = pump.use(new ShimLogPump(bundle.makeLogFifo(), log));
    for (let attempt = 1; ; attempt += 1) {
      const { id } = bundle;
      const shim = await this.#launchOnce(request, { signal });
      if (shim.hold(id)) {
        pump.move();
        shim.adoptLog(logPump);
        return shim;
      }
      if (attempt === launchAttempts) {
        throw fault("UNAVAILABLE", `shim of task "${id}" ended as soon as it was started`);
      }
      await shim.gone;
    }
  }

  // What cannot be had directly is tried the way that every shim knows.
  async #launchOnce(request: LaunchRequest, call: Cancellable): Promise<Shim> {
    using _place = await placeForShim(request.bundle.id, call);
    try {
      return await this.#connectLaunched(request, await this.#launcher.launch(request, call));
    } catch (err) {
      if (!request.isDirect || call.signal.aborted) throw err;
      this.#log.warn({ err, task: request.bundle.id }, "shim does not answer, asking its helper");
      const byHelper = { ...request, isDirect: false };
      return await this.#connectLaunched(byHelper, await this.#launcher.launch(byHelper, call));
    }
  }

  // Not under the caller's signal: a shim that runs must be held by somebody, or be gone.
  async #connectLaunched(request: LaunchRequest, bootstrap: Bootstrap): Promise<Shim> {
    const { binary, bundle } = request;
    const { namespace, id } = bundle;
    const target = { binary, bootstrap, namespace, id, attempts: 10, log: this.#log };
    const limitMs = request.isDirect ? directDialLimitMs : dialLimitMs;
    try {
      noteShim(bundle, bootstrap);
      using limit = timeLimit(limitMs);
      return await this.#pool.connect(target, limit);
    } catch (error) {
      await this.#killStrays(bundle, binary, []);
      throw error;
    }
  }

  async #killStrays(
    bundle: Bundle,
    binary: ShimBinary | undefined,
    ids: readonly string[],
  ): Promise<void> {
    const { grpcAddress } = this.#options;
    const pids = await killStrayShims({
      binary: binary?.path ?? "",
      namespace: bundle.namespace,
      ids: [bundle.id, ...ids],
      grpcAddress,
      bundles: this.#options.bundles,
      spared: await this.#pool.pids(),
    });
    if (pids.length > 0) this.#log.warn({ pids, task: bundle.id }, "killed shims out of reach");
  }

  async #watch(shim: Shim): Promise<void> {
    await shim.closed;
    if (this.#isClosing || shim.isEnding) return;
    const orphans = [...this.#tasks.values()].filter((task) => task.shim === shim);
    this.#log.warn({ shim: shim.pid, tasks: orphans.length }, "shim died");
    this.#options.onShimDeath?.(
      shim.pid,
      orphans.map(({ id }) => id),
    );
    await shim.end({ taskId: "", timeoutMs: this.#options.timeouts.shimShutdownMs });
    await Promise.all(orphans.map((task) => this.#bury(task)));
  }

  // Order matters: who is told of the exit must find nothing running and nothing mounted.
  async #bury(task: ShimTask): Promise<void> {
    const { bundle, shim, initProcess } = task;
    const made = await endDeadTask({
      ...this.#deathOf(bundle, shim.binary),
      init: initProcess,
    });
    await this.#discard(bundle);
    const exit = task.initExit ?? made;
    if (task.initExit === undefined || task.isUntold) this.#events.exited(task, exit);
    this.#events.deleted(task, exit);
    this.#forget(task);
    task.died(exit);
    this.parents.containerGone();
  }

  async #abandon(
    bundle: Bundle,
    binary: ShimBinary | undefined,
    shim: Shim | undefined,
  ): Promise<void> {
    if (shim !== undefined) await this.#release(shim, bundle.id);
    else await this.#killStrays(bundle, binary, [await bundle.read("sandbox").catch(() => "")]);
    const exit = await endDeadTask(this.#deathOf(bundle, binary));
    await this.#discard(bundle);
    this.#events.exited(bundle, exit);
    this.#events.deleted(bundle, exit);
  }

  #deathOf(bundle: Bundle, binary: ShimBinary | undefined): Parameters<typeof endDeadTask>[0] {
    const timeoutMs = this.#options.timeouts.shimCleanupMs;
    return { bundle, binary, launcher: this.#launcher, init: undefined, timeoutMs, log: this.#log };
  }

  async #release(shim: Shim, taskId: string): Promise<void> {
    if (!shim.release(taskId) || this.#isClosing) return;
    await shim.end({ taskId, timeoutMs: this.#options.timeouts.shimShutdownMs });
  }

  #discard(bundle: Bundle): Promise<void> {
    const step = { log: this.#log, task: bundle.id, failure: "bundle was not removed" };
    return attempt(step, () => bundle.remove());
  }

  #forget(task: DeletedTask): void {
    const key = keyOf(task.namespace, task.id);
    if (this.#tasks.get(key) === task) this.#tasks.delete(key);
  }
}

/**
 * One process for the whole pod is part of the API from version 3, and true of every runc shim.
 * Others of version 2 may keep one task each: their `start` decides.
 */
function canShare(shim: Shim, binary: ShimBinary): boolean {
  if (shim.binary.path !== binary.path) return false;
  return shim.apiVersion >= 3 || binary.isRunc;
}

function noteShim(bundle: Bundle, bootstrap: Bootstrap): void {
  bundle.write("bootstrap.json", JSON.stringify(bootstrap));
}

function keyOf(namespace: string, id: string): string {
  return `${namespace}/${id}`;
}
