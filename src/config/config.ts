// SPDX-License-Identifier: Apache-2.0

/** The effective configuration: deep-frozen, nothing optional. src/config/schema.ts reads it, defaults.ts fills it. */
export interface Config {
  /** Persistent state: database, content, snapshots. Default /var/lib/berthd. */
  readonly root: string;
  /** Volatile state: bundles, FIFOs, namespaces, sandbox files. Default /run/berthd. */
  readonly state: string;
  /** The daemon's own oom_score_adj; 0 leaves it. */
  readonly oomScore: number;
  readonly grpc: GrpcConfig;
  readonly metrics: MetricsConfig;
  readonly log: LogConfig;
  readonly cni: CniConfig;
  readonly registry: RegistryConfig;
  readonly images: ImagesConfig;
  readonly runtime: RuntimeConfig;
  readonly cri: CriConfig;
  readonly streaming: StreamingConfig;
  readonly plugins: PluginsConfig;
  readonly timeouts: TimeoutsConfig;
}

export interface GrpcConfig {
  /** Path of the unix socket; `<address>.ttrpc` is the shims' event socket. Default <state>/berthd.sock. */
  readonly address: string;
  readonly uid: number;
  readonly gid: number;
  readonly maxRecvBytes: number;
  readonly maxSendBytes: number;
}

export interface MetricsConfig {
  /** host:port; "" turns the endpoint off. Default 127.0.0.1:9464. */
  readonly address: string;
}

export interface LogConfig {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal";
  /** "auto": pretty on a terminal, JSON elsewhere. */
  readonly format: "auto" | "json" | "pretty";
}

export interface CniConfig {
  readonly confDir: string;
  readonly binDirs: readonly string[];
  /** How many configuration files are loaded, in lexical order; 0 for all. */
  readonly maxConfNum: number;
  readonly ipPreference: "ipv4" | "ipv6" | "cni";
  /** Where plugins such as host-local keep state is theirs; this is our cache of results. */
  readonly cacheDir: string;
}

export interface RegistryConfig {
  /** Folder of HOST/hosts.toml; "" for none. */
  readonly configPath: string;
}

export interface ImagesConfig {
  readonly snapshotter: string;
  readonly maxConcurrentDownloads: number;
  /** No byte for this long fails a download. */
  readonly pullProgressTimeoutMs: number;
}

export interface RuntimeConfig {
  readonly defaultHandler: string;
  readonly handlers: Readonly<Record<string, RuntimeHandlerConfig>>;
}

/** What TOML can say, but for dates. */
export type RuntimeOption =
  | string
  | number
  | boolean
  | readonly RuntimeOption[]
  | { readonly [key: string]: RuntimeOption };

export interface RuntimeHandlerConfig {
  /** Runtime name, `io.containerd.runc.v2`. */
  readonly type: string;
  /** Path of the shim binary; "" looks it up by type. */
  readonly shim: string;
  /** How its shims start: by the shim's `start` helper, directly, or directly where that is known to do the same. */
  readonly shimLaunch: "auto" | "helper" | "direct";
  /** Path or name of the OCI runtime; "" for the shim's own default. */
  readonly binaryName: string;
  readonly systemdCgroup: boolean;
  /**
   * Further runtime options, as containerd users know them: Root, NoPivotRoot, ShimCgroup, IoUid, IoGid, …
   * of runc shims, all of them plain values; TypeUrl, ConfigPath and anything else of other shims.
   */
  readonly options: Readonly<Record<string, RuntimeOption>>;
  /** Globs of pod annotations copied into the OCI spec. */
  readonly podAnnotations: readonly string[];
  readonly containerAnnotations: readonly string[];
  readonly privilegedWithoutHostDevices: boolean;
  /** File with an OCI spec to start from; "" for the built-in one. */
  readonly baseRuntimeSpec: string;
  readonly cgroupWritable: boolean;
}

export interface CriConfig {
  readonly maxContainerLogLineSize: number;
  /** How long ExecSync waits for output after the process has exited. */
  readonly execSyncDrainTimeoutMs: number;
  /** Bytes kept per stream of ExecSync. */
  readonly execSyncOutputLimitBytes: number;
  /** "" leaves a container without a profile unconfined; else as CRI's seccomp_profile_path. */
  readonly unsetSeccompProfile: string;
  /** AppArmor's profile for `runtime/default`; "" for none. */
  readonly apparmorProfile: string;
  readonly enableUnprivilegedPorts: boolean;
  readonly enableUnprivilegedIcmp: boolean;
  readonly ignoreImageDefinedVolumes: boolean;
  /** CreateContainer takes checkpoint archives and images of them. */
  readonly restoreCheckpoints: boolean;
  readonly disableHugetlbController: boolean;
  /** File of block I/O classes; "" for none. */
  readonly blockioConfigFile: string;
  /** Run a container without the class it asks for where no such classes are there at all. */
  readonly ignoreBlockioNotEnabledErrors: boolean;
  readonly ignoreRdtNotEnabledErrors: boolean;
  readonly statsPeriodMs: number;
  /** Reported as the sandbox image; nothing is ever pulled for it. */
  readonly sandboxImage: string;
}

export interface StreamingConfig {
  /** host:port; port 0 takes any free port. Default 127.0.0.1:0. */
  readonly address: string;
  /** A session without traffic for this long is closed; 0 never closes one. */
  readonly idleTimeoutMs: number;
  /** How long a client may take to open the streams of its session. */
  readonly creationTimeoutMs: number;
  readonly maxSessions: number;
  /** PEM files for TLS, read anew when they change; both "" for plain HTTP. */
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
}

export interface PluginsConfig {
  /** Folder of operator plugins; it may be missing. "" for none. */
  readonly dir: string;
  /** By plugin name, which is its file's without the ending. */
  readonly config: Readonly<Record<string, OperatorPluginConfig>>;
}

export interface OperatorPluginConfig {
  /** For each call of a hook. */
  readonly timeoutMs: number;
  /** When the plugin throws, is late or answers nonsense: refuse the pod, or go on without it. */
  readonly onFailure: "refuse" | "ignore";
  /** Every other key of its table, as the plugin gets it. */
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface TimeoutsConfig {
  readonly shimLoadMs: number;
  readonly shimCleanupMs: number;
  readonly shimShutdownMs: number;
  readonly taskStateMs: number;
  readonly cniMs: number;
}
