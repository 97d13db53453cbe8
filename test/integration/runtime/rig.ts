// SPDX-License-Identifier: Apache-2.0
// A TaskManager over a real shim and runc, with roots of its own and a busybox root file system.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, rm, rmdir, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Cancellable } from "../../../src/base/cancellable.ts";
import { type Logger, silentLogger } from "../../../src/base/logger.ts";
import { unmountBelow } from "../../../src/base/os/mount-table.ts";
import { run } from "../../../src/base/process.ts";
import { layoutOf } from "../../../src/config/layout.ts";
import type { ProtoAny } from "../../../src/gen/wellknown.gen.ts";
import { packAny } from "../../../src/rpc/codec.ts";
import { listenEvents } from "../../../src/runtime/events/event-forwarder.ts";
import type { CreateOptions, EventSink, RuntimeTask } from "../../../src/runtime/ports.ts";
import type { ShimLaunch } from "../../../src/runtime/shim/choose-launch.ts";
import { TaskManager } from "../../../src/runtime/task-manager.ts";
import { allMounts } from "../../support/mounts.ts";

/** Both ways to start a shim. */
export const launches = ["helper", "direct"] as const;

/** Of this process alone: what is left in it is removed at the end, containers that run included. */
export const namespace = `rig-${process.pid}`;
const cgroupParent = `/berth-rt-${process.pid}`;

/** A signal for calls of a test: far enough to never matter unless something hangs. */
export function within(ms = 90_000): { signal: AbortSignal } {
  return { signal: AbortSignal.timeout(ms) };
}

/** The shims on this machine: Debian's, what BERTH_SHIMS lists, and a built 2.4. */
export function availableShims(): string[] {
  const candidates = [
    "/usr/bin/containerd-shim-runc-v2",
    "/root/.cache/berth-tools/bin/containerd-shim-runc-v2-2.4",
    ...(process.env["BERTH_SHIMS"] ?? "").split(":"),
  ];
  return [...new Set(candidates)].filter((file) => file !== "" && existsSync(file));
}

/** Why the tests cannot run here; undefined when they can. */
export function lacking(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  for (const [what, places] of Object.entries({
    runc: ["/usr/sbin/runc", "/usr/bin/runc"],
    "a static busybox": ["/bin/busybox"],
    "containerd-shim-runc-v2": availableShims().slice(0, 1),
  })) {
    if (!places.some((place) => existsSync(place))) return `needs ${what}`;
  }
  return undefined;
}

export interface SeenEvent {
  readonly namespace: string;
  readonly topic: string;
  readonly event: ProtoAny;
}

type EventServer = Awaited<ReturnType<typeof listenEvents>>;

export class Rig implements AsyncDisposable {
  readonly folder: string;
  readonly shim: string;
  readonly launch: ShimLaunch;
  readonly events: SeenEvent[] = [];
  /** Of the next manager. */
  shimLoadMs = 5_000;
  manager: TaskManager;
  readonly #listeners = new Set<() => void>();
  readonly #eventServer: EventServer;

  private constructor(folder: string, shim: string, launch: ShimLaunch, events: EventServer) {
    this.folder = folder;
    this.shim = shim;
    this.launch = launch;
    this.#eventServer = events;
    this.manager = this.#newManager();
  }

  static async make(shim: string, launch: ShimLaunch = "auto"): Promise<Rig> {
    const folder = await mkdtemp(path.join(tmpdir(), "berth-rt "));
    const events = await listenEvents({
      path: path.join(folder, "berthd.sock.ttrpc"),
      sink: (envelope) => rig.sink(envelope),
      log: silentLogger,
    });
    const rig = new Rig(folder, shim, launch, events);
    await mkdir(path.join(rig.rootfs, "bin"), { recursive: true });
    for (const name of ["proc", "dev", "tmp", "sys"]) await mkdir(path.join(rig.rootfs, name));
    await copyFile("/bin/busybox", path.join(rig.rootfs, "bin/busybox"));
    for (const name of ["sh", "sleep", "echo", "cat", "true"]) {
      await symlink("busybox", path.join(rig.rootfs, "bin", name));
    }
    return rig;
  }

  /** Reserves the id for as long as the create goes on, as the Tasks service does. */
  async create(
    namespace: string,
    id: string,
    options: CreateOptions,
    call: Cancellable,
  ): Promise<RuntimeTask> {
    using place = this.manager.reserve(namespace, id);
    return await place.create(options, call);
  }

  get rootfs(): string {
    return path.join(this.folder, "rootfs");
  }

  get grpcAddress(): string {
    return path.join(this.folder, "berthd.sock");
  }

  get ttrpcAddress(): string {
    return `${this.grpcAddress}.ttrpc`;
  }

  get state(): string {
    return path.join(this.folder, "state");
  }

  readonly sink: EventSink = (envelope) => {
    this.events.push(envelope);
    for (const notify of this.#listeners) notify();
  };

  /** The next or an earlier event that fits. */
  async event(
    topic: string,
    match: (event: SeenEvent) => boolean = () => true,
  ): Promise<SeenEvent> {
    const { promise, resolve, reject } = Promise.withResolvers<SeenEvent>();
    const look = (): void => {
      const found = this.events.find((event) => event.topic === topic && match(event));
      if (found !== undefined) resolve(found);
    };
    const timer = setTimeout(() => reject(new Error(`no event ${topic} came`)), 60_000);
    this.#listeners.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(look);
    }
  }

  /** Drops the manager as a daemon's end would, and makes the next one. */
  async restart(): Promise<TaskManager> {
    await this.manager[Symbol.asyncDispose]();
    this.manager = this.#newManager();
    return this.manager;
  }

  /** Options of a task that runs `args`; bind-mounts the root file system by the shim. */
  options(args: readonly string[], extra: Partial<CreateOptions> & { id: string }): CreateOptions {
    const { id, ...rest } = extra;
    return {
      spec: Buffer.from(JSON.stringify(spec(id, args))),
      rootfs: [{ type: "bind", source: this.rootfs, target: "", options: ["rbind", "rw"] }],
      io: { stdin: "", stdout: "", stderr: "", terminal: false },
      runtime: "io.containerd.runc.v2",
      runtimePath: this.shim,
      runtimeOptions: packAny("containerd.runc.v1.Options", {}),
      sandboxId: "",
      checkpointPath: "",
      ...rest,
    };
  }

  bundle(id: string): string {
    return path.join(this.state, "io.containerd.runtime.v2.task", namespace, id);
  }

  /** What is left of these tasks anywhere: bundles, mounts, runc state, processes, sockets. */
  async leftovers(): Promise<string[]> {
    const left: string[] = [];
    const tasks = path.join(this.state, "io.containerd.runtime.v2.task", namespace);
    if (existsSync(tasks)) left.push(...readdirSync(tasks).map((name) => `bundle ${name}`));
    const runc = path.join("/run/containerd/runc", namespace);
    if (existsSync(runc)) left.push(...readdirSync(runc).map((name) => `runc state ${name}`));
    for (const { mountPoint } of await allMounts()) {
      if (mountPoint.startsWith(`${this.folder}/`)) left.push(`mount ${mountPoint}`);
    }
    for (const { pid, command } of this.processes()) left.push(`process ${pid} ${command}`);
    return left;
  }

  /** Live processes that name this rig, shims above all. */
  processes(): { pid: number; command: string }[] {
    const found: { pid: number; command: string }[] = [];
    for (const name of readdirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
        if (command.includes(this.folder)) found.push({ pid: Number(name), command });
      } catch {
        // gone meanwhile
      }
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const task of this.manager.list()) {
      await task.kill({ execId: "", signal: 9, all: true }, within()).catch(() => {});
      await task.wait("", within()).catch(() => {});
      await task.delete("", within()).catch(() => {});
    }
    await this.manager[Symbol.asyncDispose]();
    await this.#eventServer[Symbol.asyncDispose]();
    const left = await this.leftovers();
    for (const { pid } of this.processes()) process.kill(pid, "SIGKILL");
    await unmountBelow(this.folder);
    await unmountBelow(path.join("/run/containerd/runc", namespace));
    for (const entry of left.filter((line) => line.startsWith("runc state "))) {
      const id = entry.slice("runc state ".length);
      await run("runc", ["--root", `/run/containerd/runc/${namespace}`, "delete", "-f", id]).catch(
        () => {},
      );
    }
    await rm(this.folder, { recursive: true });
    await rmdir(`/run/containerd/runc/${namespace}`).catch(() => {}); // a test may have made none
    left.push(...(await cgroupsLeft()));
    assert.deepEqual(left, []);
  }

  #newManager(): TaskManager {
    const folders = { root: path.join(this.folder, "root"), state: this.state };
    const { bundles, work, madeCgroups } = layoutOf(folders);
    return new TaskManager({
      bundles,
      work,
      madeCgroups,
      grpcAddress: this.grpcAddress,
      ttrpcAddress: this.ttrpcAddress,
      log: process.env["RIG_DEBUG"] === undefined ? silentLogger : consoleLogger,
      sink: this.sink,
      shimEvents: this.#eventServer,
      shimLaunch: () => this.launch,
      timeouts: { shimLoadMs: this.shimLoadMs, shimCleanupMs: 10_000, shimShutdownMs: 3_000 },
    });
  }
}

// runc makes the parent and leaves it; a container's own cgroup below it would be a leak.
async function cgroupsLeft(): Promise<string[]> {
  const left: string[] = [];
  for (const { mountPoint, type } of await allMounts()) {
    const folder = path.join(mountPoint, cgroupParent);
    if (!type.startsWith("cgroup") || !existsSync(folder)) continue;
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      left.push(`cgroup ${path.join(folder, entry.name)}`);
      await rmdir(path.join(folder, entry.name)).catch(() => {});
    }
    await rmdir(folder).catch(() => {});
  }
  return left;
}

const consoleLogger: Logger = {
  ...silentLogger,
  debug: (fields, message) => console.error("debug", message, fields),
  info: (fields, message) => console.error("info", message, fields),
  warn: (fields, message) => console.error("warn", message, fields),
  error: (fields, message) => console.error("error", message, fields),
  child: () => consoleLogger,
};

/** A process of an OCI spec; also what Exec takes. */
export function processOf(args: readonly string[]): Record<string, unknown> {
  return {
    user: { uid: 0, gid: 0 },
    args,
    env: ["PATH=/bin"],
    cwd: "/",
    noNewPrivileges: true,
    // Below what a daemon without CAP_SYS_RESOURCE may set: runc dies unless it is clamped.
    oomScoreAdj: -500,
  };
}

export function execSpec(args: readonly string[]): ProtoAny {
  return {
    type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process",
    value: Buffer.from(JSON.stringify(processOf(args))),
  };
}

function spec(id: string, args: readonly string[]): Record<string, unknown> {
  return {
    ociVersion: "1.0.2",
    process: processOf(args),
    root: { path: "rootfs" },
    hostname: "rig",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
    ],
    linux: {
      cgroupsPath: `${cgroupParent}/${id}`,
      namespaces: ["pid", "ipc", "uts", "mount", "network"].map((type) => ({ type })),
    },
  };
}
