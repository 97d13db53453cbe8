// SPDX-License-Identifier: Apache-2.0
import type { Config } from "./config.ts";

/** What a changed key needs: the daemon takes it up when it reloads, or only when it starts. */
export type Decision = "reload" | "restart";

type Value = string | number | boolean | readonly unknown[];

/** One decision for every key of Config; tables of free names, such as handlers, have one in all. */
type Decisions<T> = {
  readonly [K in keyof T]: T[K] extends Value ? Decision : { readonly [P in keyof T[K]]: Decision };
};

/**
 * The one place that says of every key whether it reloads. A key of Config that is missing here does
 * not type-check, docs/configuration.md shows what is said here, and parts of the daemon that are made
 * once get to see only the keys that need a restart (StartConfig): a key cannot be said to reload and
 * be read at the start alone.
 *
 * What needs a restart: what records, sockets and files of living pods lie below (`root`, `state`,
 * `grpc`, `cni.cache_dir`), what clients are connected to or shown for good (`streaming.address`,
 * `cri.sandbox_image`), and what only the start itself reads (`timeouts.shim_load`).
 */
export const decisions = {
  root: "restart",
  state: "restart",
  oomScore: "restart",
  grpc: {
    address: "restart",
    uid: "restart",
    gid: "restart",
    maxRecvBytes: "restart",
    maxSendBytes: "restart",
  },
  metrics: { address: "reload" },
  log: { level: "reload", format: "restart" },
  cni: {
    confDir: "reload",
    binDirs: "reload",
    maxConfNum: "reload",
    ipPreference: "reload",
    cacheDir: "restart",
  },
  registry: { configPath: "reload" },
  images: {
    snapshotter: "restart",
    maxConcurrentDownloads: "reload",
    pullProgressTimeoutMs: "reload",
  },
  runtime: { defaultHandler: "reload", handlers: "reload" },
  cri: {
    maxContainerLogLineSize: "reload",
    execSyncDrainTimeoutMs: "reload",
    execSyncOutputLimitBytes: "reload",
    unsetSeccompProfile: "reload",
    apparmorProfile: "reload",
    enableUnprivilegedPorts: "reload",
    enableUnprivilegedIcmp: "reload",
    ignoreImageDefinedVolumes: "reload",
    restoreCheckpoints: "reload",
    disableHugetlbController: "reload",
    blockioConfigFile: "reload",
    ignoreBlockioNotEnabledErrors: "reload",
    ignoreRdtNotEnabledErrors: "reload",
    statsPeriodMs: "reload",
    sandboxImage: "restart",
  },
  streaming: {
    address: "restart",
    idleTimeoutMs: "reload",
    creationTimeoutMs: "reload",
    maxSessions: "reload",
    tlsCertFile: "restart",
    tlsKeyFile: "restart",
  },
  plugins: { dir: "restart", config: "restart" },
  timeouts: {
    shimLoadMs: "restart",
    shimCleanupMs: "reload",
    shimShutdownMs: "reload",
    taskStateMs: "reload",
    cniMs: "reload",
  },
} as const satisfies Decisions<Config>;

type Fixed<T, D> = {
  readonly [K in keyof T & keyof D as D[K] extends "reload" ? never : K]: D[K] extends Decision
    ? T[K]
    : Fixed<T[K], D[K]>;
};

/** The keys that hold for a daemon's whole life. Every Config is one. */
export type StartConfig = Fixed<Config, typeof decisions>;

/** The decision for a key, by its names in Config: `["log", "level"]`, `["runtime", "handlers", …]`. */
export function decisionFor(path: readonly string[]): Decision {
  let found: unknown = decisions;
  for (const name of path) {
    if (typeof found !== "object" || found === null) break;
    found = (found as Readonly<Record<string, unknown>>)[name];
  }
  if (found === "reload" || found === "restart") return found;
  throw new TypeError(`no key of the configuration: ${path.join(".")}`);
}
