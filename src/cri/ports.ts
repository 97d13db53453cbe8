// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { RuntimeFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Client, IoCreator } from "../client/ports.ts";
import type { Config } from "../config/config.ts";
import type { PodFacts } from "../events/pod-facts.ts";
import type {
  ContainerStatsInit,
  MetricDescriptorInit,
  PodSandboxConfig,
  PodSandboxMetricsInit,
  PodSandboxStatsInit,
} from "../gen/cri.gen.ts";
import type { TypesMount } from "../gen/types.gen.ts";
import type { Images } from "../images/ports.ts";
import type { ContainerLogs } from "../logs/ports.ts";
import type { MetadataStore } from "../metadata/ports.ts";
import type { NetworkNamespaces, PodNetwork } from "../network/ports.ts";
import type { NodePlugins } from "../nri/ports.ts";
import type { RootfsReader } from "../oci/rootfs/ports.ts";
import type { FlawedRuntime } from "../oci/runtime-flaws.ts";
import type { OciSpec } from "../oci/spec.ts";
import type { LostSocket } from "../rpc/socket-watch.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import type { RemovesTrees } from "../trees/ports.ts";
import type { DefaultRuntime } from "./handlers/default-runtime/ports.ts";
import type { OperationHooks } from "./lifecycle/operation.ts";
import type { AdjustSpec } from "./nri/nri-reviewer.ts";
import type {
  BuiltContainerSpec,
  ContainerSpecInput,
  HostFacts,
  RuntimeFeatures,
  SandboxSpecInput,
} from "./oci-spec/ports.ts";
import type { SpecReviewer } from "./spec-review.ts";

/** The containerd namespace in which every CRI object lives. */
export const criNamespace = "k8s.io";

/** What the RuntimeService stands on. `client` must be bound to the `k8s.io` namespace. */
export interface RuntimeServicePorts {
  readonly client: Client;
  readonly images: Images;
  readonly snapshotter: Snapshotter;
  readonly remover: RemovesTrees;
  readonly network: PodNetwork;
  readonly netns: NetworkNamespaces;
  readonly logs: ContainerLogs;
  readonly metadata: MetadataStore;
  /** As it is now: whoever does a piece of work reads it once. */
  readonly config: Config;
  /** For verbose Status: when the configuration was read, and what became of the last reload. */
  readonly reloads?: () => unknown;
  /** Where it is told what befalls pods that no kubelet learns of. */
  readonly facts: PodFacts;
  /** For verbose Status: whether a cluster takes what it is told; undefined where it is told nothing. */
  readonly cluster?: () => unknown;
  /** For verbose Status: what memory there is, what holds it, and what was refused for lack of it. */
  readonly memory?: () => unknown;
  /** Waits for memory to run a command in a container; RESOURCE_EXHAUSTED when there is none. */
  readonly placeForExec?: (container: string, call: Cancellable) => Promise<Disposable>;
  readonly specs: SpecBuilders;
  readonly hostFacts: HostFacts;
  /** What the OCI runtime of a handler can do. From memory. */
  readonly features: (handler: string) => RuntimeFeatures;
  readonly hostMounts: HostMounts;
  readonly layerArchives: LayerArchives;
  readonly capture: OutputCapture;
  readonly oom: OomProbe;
  /** What a cgroup holds of memory that cannot be dropped, by the spec's path; undefined when it cannot be told. */
  readonly memoryUsage: (cgroupsPath: string) => Promise<bigint | undefined>;
  readonly stats: ContainerStatsReader;
  readonly podStats: PodStatsReader;
  readonly podMetrics: PodMetricsReader;
  /** Absolute path of the built-in rootfs that holds /pause. */
  readonly pauseRootfs: string;
  /** Of Berth itself, as Version answers it. */
  readonly version: string;
  readonly log: Logger;
  readonly hooks?: RuntimeServiceHooks;
  /** What pods have that name no handler; as configured when left out. */
  readonly defaultRuntime?: DefaultRuntime;
  /** OCI runtimes with known flaws. From memory. */
  readonly flawedRuntimes?: () => readonly FlawedRuntime[];
  /** Sockets of ours that are another's now, or gone. */
  readonly lostSockets?: () => readonly LostSocket[];
  /** Undefined when no operator plugin is configured. */
  readonly review?: SpecReviewer | undefined;
  /** The plugins of NRI, and how a spec becomes what they make of it; undefined where NRI is off. */
  readonly nodePlugins?: { readonly plugins: NodePlugins; readonly adjust: AdjustSpec } | undefined;
  /** Whether a process is a container's or its sandbox's, by their ids; what its cgroup tells when left out. */
  readonly isProcessOf?: (pid: number, ids: readonly string[]) => Promise<boolean>;
  /** Of a task whose shim has not answered since the start: settles once it is there, or gone. Never rejects. */
  readonly lateTask: (id: string) => Promise<void> | undefined;
  /** What comes between recovery and the first call. */
  readonly beforeOpening?: (call: Cancellable) => Promise<void>;
}

/** Who wants to know what happens: metrics, and the event stream. Hooks must not throw or wait. */
export interface RuntimeServiceHooks extends OperationHooks {
  onEvent?(event: ContainerEvent): void;
  /** A reader of the event stream has lost an event. */
  onEventDropped?(): void;
  /** A container has ended by a kill for want of memory. */
  onOomKill?(): void;
  /** A client's session at a streaming URL is over. */
  onSessionEnd?(kind: StreamKind): void;
}

export type StreamKind = "exec" | "attach" | "port_forward";

/** One step in a sandbox's or container's life; for a sandbox both ids are alike. */
export interface ContainerEvent {
  readonly type: "created" | "started" | "stopped" | "deleted";
  readonly containerId: string;
  readonly sandboxId: string;
  readonly atNanos: bigint;
}

/** CRI configuration → OCI spec, and the look into an image's files that it needs. */
export interface SpecBuilders {
  sandbox(input: SandboxSpecInput): Promise<OciSpec>;
  container(input: ContainerSpecInput): Promise<BuiltContainerSpec>;
  /** A reader over the folders of an image's layers, topmost first: nothing is mounted for it. */
  openRootfs(layers: readonly string[]): RootfsReader;
  /** What of the host they stand on, by name, for Status. */
  describe(): Readonly<Record<string, unknown>>;
}

/** The kinds of host mount that the façade itself makes and removes. */
export interface HostMounts {
  /** Mounts a tmpfs for /dev/shm at an existing folder. */
  mountShm(
    target: string,
    sizeBytes: number,
    owner: { readonly uid: number; readonly gid: number },
  ): void;
  /** Makes a snapshot's mounts, read-only, at an existing folder. */
  mountReadOnly(target: string, mounts: readonly TypesMount[]): Promise<void>;
  /** Unmounts what is at `target` itself, however busy it is. No error when nothing is. */
  unmountShm(target: string): void;
  /** Unmounts what is at or below `path`, lazily when busy. No error when nothing is. */
  unmountBelow(path: string): Promise<void>;
}

/** The files of containers' writable layers as plain layer archives, by the container's id. */
export interface LayerArchives {
  /** Writes what the container has changed of its image to a file. */
  pack(containerId: string, file: string, call: Cancellable): Promise<void>;
  /** Puts such a file's content into the layer of a container that does not run. */
  unpack(containerId: string, file: string, call: Cancellable): Promise<void>;
}

/** Tells of containers' OOM kills. */
export interface OomProbe {
  /**
   * To be called when the container's task is made and not yet started, or found running: where
   * systemd removes a cgroup at once, what was before must be known. The path is the spec's
   * `linux.cgroupsPath`.
   */
  watch(cgroupsPath: string, call: Cancellable): Promise<OomWatch>;
}

/** The watch over one container's life. */
export interface OomWatch {
  /**
   * How often the kernel killed in its cgroup for want of memory; 0 when it cannot be told. Asked once,
   * after the end with this exit code.
   */
  kills(exitCode: number): Promise<number>;
  /** For a container that was not started after all. */
  forget(): void;
}

/** Makes IO that keeps output in memory, for ExecSync. */
export interface OutputCapture {
  /** Bytes over the limit are dropped. The streams are what came in so far, also after the end. */
  create(limitBytes: number): CapturedOutput;
}

/** Kept until it is disposed of. */
export interface CapturedOutput extends Disposable {
  readonly io: IoCreator;
  stdout(): Uint8Array;
  stderr(): Uint8Array;
  /** A fault about `what` when some was dropped for lack of memory. */
  cutShort(what: string): RuntimeFault | undefined;
}

/** One running container or sandbox, as cgroup readers want it. */
export interface StatsTarget {
  readonly id: string;
  readonly sandboxId: string;
  /** True for the sandbox's own task. */
  readonly isSandbox: boolean;
  readonly name: string;
  readonly attempt: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly image: string;
  readonly pid: number;
  readonly cgroupsPath: string;
  readonly startedAtNanos: bigint;
  /** The pod's pinned network namespace; "" in the node's. */
  readonly netnsPath: string;
  /** "" for a sandbox: its rootfs is built in. */
  readonly snapshotKey: string;
  readonly sandboxConfig: PodSandboxConfig;
}

/** Container stats, read from cgroup files. One container that cannot be read never fails a list. */
export interface ContainerStatsReader {
  one(target: StatsTarget, call: Cancellable): Promise<ContainerStatsInit>;
  /** What `keep` makes of each as soon as it is read: a list holds no more than that of all. */
  list<T>(
    targets: readonly StatsTarget[],
    call: Cancellable,
    keep: (stats: ContainerStatsInit) => T,
  ): Promise<T[]>;
}

/** One sandbox with what runs in it. */
export interface PodStatsTarget {
  readonly sandbox: StatsTarget;
  /** The pod's own cgroup, as its config has it; "" when it has none. */
  readonly cgroupParent: string;
  /** Running containers. */
  readonly containers: readonly StatsTarget[];
}

/** Pod stats. One pod that cannot be read never fails a list; linux and attributes are always there. */
export interface PodStatsReader {
  one(target: PodStatsTarget, call: Cancellable): Promise<PodSandboxStatsInit>;
  /** As of containers. */
  list<T>(
    targets: readonly PodStatsTarget[],
    call: Cancellable,
    keep: (stats: PodSandboxStatsInit) => T,
  ): Promise<T[]>;
}

/** The container_* metrics in CRI's form, of all ready sandboxes. */
export interface PodMetricsReader {
  /** Every metric that `list` may answer; the same for the daemon's life. */
  descriptors(): readonly MetricDescriptorInit[];
  list(call: Cancellable): Promise<PodSandboxMetricsInit[]>;
}
