// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fault } from "../../../src/base/errors.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import type { ProcessIo } from "../../../src/client/ports.ts";
import type { Config } from "../../../src/config/config.ts";
import {
  createRuntimeService,
  type RuntimeService,
} from "../../../src/cri/create-runtime-service.ts";
import type { HostFacts, RuntimeFeatures } from "../../../src/cri/oci-spec/ports.ts";
import type { ContainerEvent, RuntimeServicePorts } from "../../../src/cri/ports.ts";
import { PodFacts } from "../../../src/events/pod-facts.ts";
import type { CriServices } from "../../../src/gen/cri-index.gen.ts";
import type { Image } from "../../../src/images/ports.ts";
import type { ContainerLog, ContainerLogs } from "../../../src/logs/ports.ts";
import type { NodePlugins } from "../../../src/nri/ports.ts";
import type { OciSpec } from "../../../src/oci/spec.ts";
import { codec, type MessageName } from "../../../src/rpc/codec.ts";
import type { CallContext } from "../../../src/rpc/service.ts";
import { Steps } from "./steps.ts";
import { TestClient } from "./test-client.ts";

type Methods = CriServices["runtime.v1.RuntimeService"];
type UnaryMethod = {
  [M in keyof Methods]: Methods[M]["kind"] extends "unary" ? M : never;
}[keyof Methods];

type StreamMethod = {
  [M in keyof Methods]: Methods[M]["kind"] extends "serverStream" ? M : never;
}[keyof Methods];

export const busybox: Image = {
  id: `sha256:${"b".repeat(64)}` as Image["id"],
  repoTags: ["docker.io/library/busybox:1.36"],
  repoDigests: [`docker.io/library/busybox@sha256:${"d".repeat(64)}`],
  sizeBytes: 1_000n,
  pinned: false,
  chainId: `sha256:${"c".repeat(64)}`,
  config: {
    user: "",
    env: [],
    entrypoint: [],
    cmd: ["sh"],
    workingDir: "",
    volumes: [],
    stopSignal: "SIGQUIT",
    labels: { maintainer: "someone" },
  },
  platform: { os: "linux", architecture: "amd64", variant: "" },
  layers: 1,
};

const hostFacts: HostFacts = {
  cgroupVersion: 1,
  cgroupHybrid: true,
  cgroupNamespaces: true,
  cgroupControllers: ["cpu", "memory"],
  capabilities: [],
  seccomp: true,
  apparmor: false,
  selinux: false,
  swapAccounting: false,
  daemonOomScoreAdj: 0,
  canLowerOomScore: true,
  hugepageSizes: [],
  kernelRelease: "6.18.0",
  architecture: "amd64",
  hostname: "node-1",
};

const features: RuntimeFeatures = {
  recursiveReadOnlyMounts: true,
  mountOptions: ["noexec", "nodev", "nosuid"],
  idmapMounts: false,
  userNamespaces: false,
  cgroupNamespaces: true,
  netDevices: true,
  rdtSchemata: true,
  rdtMonitoring: true,
  scheduling: true,
  memoryPolicies: ["MPOL_DEFAULT", "MPOL_BIND"],
};

const spec: OciSpec = {
  ociVersion: "1.1.0",
  process: { user: { uid: 0, gid: 0 }, args: ["sh"], env: ["A=b"], cwd: "/" },
  root: { path: "rootfs" },
  mounts: [],
  annotations: {},
  linux: { cgroupsPath: "/k8s.io/some", resources: {} } as unknown as OciSpec["linux"],
};

const requestTypes: { readonly [M in StreamMethod]: MessageName } = {
  GetContainerEvents: "runtime.v1.GetEventsRequest",
  StreamContainers: "runtime.v1.StreamContainersRequest",
  StreamContainerStats: "runtime.v1.StreamContainerStatsRequest",
  StreamPodSandboxes: "runtime.v1.StreamPodSandboxesRequest",
  StreamPodSandboxStats: "runtime.v1.StreamPodSandboxStatsRequest",
  StreamPodSandboxMetrics: "runtime.v1.StreamPodSandboxMetricsRequest",
};

/**
 * A RuntimeService over the real client and its services, which stand on a fake runtime and rows in
 * memory, and over fakes of its other ports; and what a test needs to steer them.
 */
export class FakeWorld implements AsyncDisposable {
  readonly steps = new Steps();
  readonly facts = new PodFacts();
  readonly client = new TestClient(this.steps);
  readonly events: ContainerEvent[] = [];
  readonly stages: string[] = [];
  droppedEvents = 0;
  readonly folder: string;
  /** What ExecSync's commands print. */
  execOutput = { stdout: "", stderr: "" };
  oomKills = 0;
  /** Containers whose processes the kernel still has. */
  readonly living = new Set<string>();
  memoryUsage: bigint | undefined = undefined;
  /** Sandboxes that the network says it has set up. */
  attached: string[] = [];
  networkReady = true;
  /** Of handlers that differ from the others. */
  features: Readonly<Record<string, RuntimeFeatures>> = {};
  /** Settle it to end all taps of logs. */
  tapsEnd = Promise.withResolvers<"end" | "slow" | "gone" | "lost">();
  /** False: output of logs and execs never ends. */
  drains = true;
  /** Undefined: NRI is off. */
  readonly #plugins: NodePlugins | undefined;
  runtime: RuntimeService;

  private constructor(folder: string, plugins: NodePlugins | undefined) {
    this.folder = folder;
    this.#plugins = plugins;
    this.runtime = createRuntimeService(this.#ports());
  }

  static async create(plugins?: NodePlugins): Promise<FakeWorld> {
    const world = new FakeWorld(await mkdtemp(path.join(tmpdir(), "berth cri ")), plugins);
    await world.runtime.recover({ signal: AbortSignal.timeout(60_000) });
    world.steps.take(); // what a start does is no test's business but recovery's
    return world;
  }

  /** Stops the service and starts another over what the disk and the tasks are now. */
  async restart(): Promise<void> {
    await this.runtime.close();
    await this.client.reopen();
    this.runtime = createRuntimeService(this.#ports());
    await this.runtime.recover({ signal: AbortSignal.timeout(60_000) });
  }

  /** Calls a method with the defaults of its request filled in, as a transport does. */
  async call<M extends UnaryMethod>(
    method: M,
    request: Methods[M]["reqInit"],
    signal: AbortSignal = AbortSignal.timeout(60_000),
  ): Promise<Methods[M]["resInit"]> {
    const handler = this.runtime.service[method] as unknown as (
      request: unknown,
      call: CallContext,
    ) => Promise<Methods[M]["resInit"]>;
    const complete = codec(`runtime.v1.${method}Request` as MessageName).normalize(request);
    return handler(complete, { signal, namespace: undefined, headers: {} });
  }

  /** As `call`, for a method that answers a stream. */
  stream<M extends StreamMethod>(
    method: M,
    request: Methods[M]["reqInit"] = {},
    signal: AbortSignal = AbortSignal.timeout(60_000),
  ): AsyncIterable<Methods[M]["resInit"]> {
    const handler = this.runtime.service[method] as unknown as (
      request: unknown,
      call: CallContext,
    ) => AsyncIterable<Methods[M]["resInit"]>;
    const complete = codec(requestTypes[method]).normalize(request);
    return handler(complete, { signal, namespace: undefined, headers: {} });
  }

  /** A pod with the given parts of its config. */
  async runPod(
    config: Methods["RunPodSandbox"]["reqInit"]["config"] = podConfig(),
  ): Promise<string> {
    return (await this.call("RunPodSandbox", { config })).podSandboxId ?? "";
  }

  async createContainer(
    podSandboxId: string,
    config: Methods["CreateContainer"]["reqInit"]["config"] = containerConfig(),
  ): Promise<string> {
    const request = { podSandboxId, config, sandboxConfig: podConfig() };
    return (await this.call("CreateContainer", request)).containerId ?? "";
  }

  async startedContainer(podSandboxId: string): Promise<string> {
    const containerId = await this.createContainer(podSandboxId);
    await this.call("StartContainer", { containerId });
    return containerId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runtime.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  #ports(): RuntimeServicePorts {
    const { steps } = this;
    return {
      client: this.client,
      metadata: this.client.metadata,
      config: fakeConfig(this.folder),
      pauseRootfs: "/pause-rootfs",
      version: "9.9.9",
      facts: this.facts,
      log: silentLogger,
      hostFacts,
      features: (handler) => this.features[handler] ?? features,
      images: {
        find: (reference) =>
          [busybox.id, ...busybox.repoTags, "busybox"].includes(reference) ? busybox : undefined,
        list: () => [busybox],
        pull: () => Promise.reject(fault("UNIMPLEMENTED", "no registry here")),
        unpack: () => steps.run("unpack image"),
        load: () => Promise.resolve([]),
        remove: () => Promise.resolve(),
        released: () => {},
        usage: () => Promise.resolve([{ folder: "/", bytes: 0n, inodes: 0n }]),
      },
      snapshotter: this.#snapshotter(),
      lateTask: (id) => this.client.runtime.late("", id),
      remover: {
        remove: (file) => rm(file, { recursive: true, force: true }),
        sweep: async () => {},
        settled: async () => {},
        stuck: [],
      },
      netns: {
        create: async (id) => {
          await steps.run("pin netns");
          return `/netns/${id}`;
        },
        remove: () => steps.run("remove netns"),
        isAlive: () => Promise.resolve(true),
        openTcpSocket: () => Promise.reject(fault("UNIMPLEMENTED", "no sockets here")),
      },
      network: {
        status: () => ({
          ready: this.networkReady,
          reason: this.networkReady ? "" : "NoNetwork",
          message: this.networkReady ? "" : "no configuration in /etc/cni/net.d",
        }),
        describe: () => ({ name: "fake" }),
        setup: async () => {
          await steps.run("network up");
          return {
            ip: "10.0.0.2",
            additionalIps: ["fd00::2"],
            raw: { fake: { cniVersion: "1.0.0" } },
          };
        },
        teardown: (_request, { signal }) =>
          Promise.race([
            steps.run("network down"),
            new Promise<never>((_, reject) =>
              signal.addEventListener("abort", () => reject(signal.reason as Error)),
            ),
          ]),
        attachedSandboxes: () => Promise.resolve(this.attached),
        check: () => steps.run("network check"),
        abandon: () => steps.run("abandon network"),
        startCollecting: (holders) =>
          void steps.done.push(`collect networks but ${[...holders()].length}`),
      },
      logs: this.#logs(),
      specs: {
        sandbox: async () => {
          await steps.run("sandbox spec");
          return spec;
        },
        container: async () => {
          await steps.run("container spec");
          return {
            spec,
            user: { uid: 0, gid: 0, supplementalGroups: [0, 10] },
          };
        },
        describe: () => ({ apparmor: { enabled: false } }),
        openRootfs: () => ({
          searchAccounts: async () => ({ user: undefined, gid: undefined, memberOf: [] }),
          copyDirectory: () => Promise.resolve(undefined),
        }),
      },
      layerArchives: {
        pack: async (_id, file) => {
          await steps.run("pack layer");
          await writeFile(file, "layer");
        },
        unpack: () => steps.run("unpack layer"),
      },
      hostMounts: {
        mountShm: () => {
          const error = steps.failing.get("mount shm");
          if (error) throw error;
          steps.done.push("mount shm");
        },
        unmountShm: () => {
          const error = steps.failing.get("unmount shm");
          if (error) throw error;
          steps.done.push("unmount shm");
        },
        mountReadOnly: () => steps.run("mount image volume"),
        unmountBelow: () => steps.run("unmount shm"),
      },
      capture: {
        create: () => ({
          io: () => Promise.resolve(this.#io("exec io")),
          stdout: () => Buffer.from(this.execOutput.stdout),
          stderr: () => Buffer.from(this.execOutput.stderr),
          cutShort: () => undefined,
          [Symbol.dispose]: () => {},
        }),
      },
      oom: {
        watch: () =>
          Promise.resolve({
            kills: async () => {
              await steps.run("read oom");
              return this.oomKills;
            },
            forget: () => {},
          }),
      },
      memoryUsage: () => Promise.resolve(this.memoryUsage),
      isProcessOf: (_pid, ids) => Promise.resolve(ids.some((id) => this.living.has(id))),
      podStats: {
        one: ({ sandbox }) => Promise.resolve({ attributes: { id: sandbox.id } }),
        list: (targets, _call, keep) =>
          Promise.resolve(targets.map(({ sandbox: { id } }) => keep({ attributes: { id } }))),
      },
      podMetrics: {
        descriptors: () => [{ name: "container_threads", help: "Threads.", labelKeys: ["pod"] }],
        list: () =>
          Promise.resolve(
            this.runtime.tasks().map(({ sandboxId: podSandboxId }) => ({ podSandboxId })),
          ),
      },
      stats: {
        one: (target) =>
          Promise.resolve({ attributes: { id: target.id, metadata: { name: target.name } } }),
        list: (targets, _call, keep) =>
          Promise.resolve(targets.map(({ id }) => keep({ attributes: { id } }))),
      },
      nodePlugins: this.#plugins && {
        plugins: this.#plugins,
        adjust: async (before, { env }) => ({
          ...before,
          process: {
            ...before.process,
            env: [...before.process.env, ...env.map(({ key, value }) => `${key}=${value}`)],
          },
        }),
      },
      hooks: {
        onEvent: (event) => this.events.push(event),
        onEventDropped: () => {
          this.droppedEvents += 1;
        },
        onStage: ({ rpc, stage }) => this.stages.push(`${rpc}/${stage}`),
      },
    };
  }

  #io(name: string): ProcessIo {
    return {
      config: { stdin: "", stdout: "/fifo/out", stderr: "/fifo/err", terminal: false },
      drained: ({ signal }) =>
        this.drains
          ? Promise.resolve()
          : new Promise((_resolve, reject) => {
              signal.addEventListener("abort", () => reject(signal.reason as Error));
            }),
      closeStdin: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => this.steps.run(`close ${name}`),
    };
  }

  #logs(): ContainerLogs {
    const log = (): ContainerLog => ({
      ...this.#io("log"),
      held: Promise.resolve(),
      reopen: () => this.steps.run("reopen log"),
      counts: () => ({ lines: 0, bytes: 0, lostBytes: 0 }),
      tap: async () => {
        await this.steps.run("tap log");
        return {
          ended: this.tapsEnd.promise,
          [Symbol.asyncDispose]: () => this.steps.run("untap"),
        };
      },
    });
    return {
      prepare: () => {},
      open: async () => {
        await this.steps.run("open log");
        return log();
      },
      resume: async ({ stopped }) => {
        await this.steps.run(stopped ? "resume log of stopped" : "resume log");
        return log();
      },
      salvage: () => this.steps.run("salvage log"),
      removeOrphans: async () => {
        await this.steps.run("remove orphan FIFOs");
        return 0;
      },
      totals: () => ({ bytes: 0, lostBytes: 0 }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  #snapshotter(): RuntimeServicePorts["snapshotter"] {
    const unused = (): never => {
      throw new Error("not used by the CRI façade");
    };
    return {
      name: "overlayfs",
      root: "/snapshots",
      whiteouts: "overlay",
      cleanup: async () => {},
      directories: () => ["/snapshots/1/fs"],
      stat: (_namespace, name) => {
        throw fault("NOT_FOUND", `snapshot "${name}" not found`);
      },
      list: () => [],
      prepare: async () => {
        await this.steps.run("prepare snapshot");
        return [];
      },
      view: unused,
      mounts: () => [],
      commit: unused,
      remove: () => this.steps.run("remove snapshot"),
      update: unused,
      usage: unused,
    };
  }
}

/** A pod's config; metadata is complete. */
export function podConfig(
  parts: Methods["RunPodSandbox"]["reqInit"]["config"] = {},
): NonNullable<Methods["RunPodSandbox"]["reqInit"]["config"]> {
  return {
    metadata: { name: "web", namespace: "shop", uid: "u-1", attempt: 0 },
    logDirectory: "/var/log/pods/shop_web_u-1",
    labels: { app: "web" },
    ...parts,
  };
}

/** A container's config; metadata and image are complete. */
export function containerConfig(
  parts: Methods["CreateContainer"]["reqInit"]["config"] = {},
): NonNullable<Methods["CreateContainer"]["reqInit"]["config"]> {
  return {
    metadata: { name: "server", attempt: 0 },
    image: { image: "busybox" },
    logPath: "server/0.log",
    labels: { tier: "front" },
    ...parts,
  };
}

function fakeConfig(folder: string): Config {
  const handler = {
    type: "io.containerd.runc.v2",
    shim: "",
    binaryName: "",
    systemdCgroup: false,
    options: {},
    podAnnotations: [],
    containerAnnotations: [],
    privilegedWithoutHostDevices: false,
    baseRuntimeSpec: "",
    cgroupWritable: false,
  };
  return {
    root: path.join(folder, "root"),
    state: path.join(folder, "state"),
    runtime: {
      defaultHandler: "runc",
      handlers: { runc: handler, crun: { ...handler, binaryName: "crun" } },
    },
    grpc: { maxSendBytes: 64 * 1024 * 1024 },
    cri: {
      maxContainerLogLineSize: 16384,
      execSyncDrainTimeoutMs: 20,
      execSyncOutputLimitBytes: 1024,
      unsetSeccompProfile: "",
      enableUnprivilegedPorts: true,
      enableUnprivilegedIcmp: true,
      ignoreImageDefinedVolumes: false,
      restoreCheckpoints: true,
      disableHugetlbController: true,
      statsPeriodMs: 1000,
      sandboxImage: "berth/pause:builtin",
    },
  } as unknown as Config;
}
