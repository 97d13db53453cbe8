// SPDX-License-Identifier: Apache-2.0
import type { Config, OperatorPluginConfig, RuntimeHandlerConfig } from "./config.ts";

/** What a handler has whose table leaves the key out. */
export const defaultHandler: RuntimeHandlerConfig = {
  type: "io.containerd.runc.v2",
  shim: "",
  shimLaunch: "auto",
  binaryName: "",
  systemdCgroup: false,
  options: {},
  podAnnotations: [],
  containerAnnotations: [],
  privilegedWithoutHostDevices: false,
  baseRuntimeSpec: "",
  cgroupWritable: false,
};

/** What an operator plugin has whose table leaves the key out, or that has no table. */
export const defaultOperatorPlugin: OperatorPluginConfig = {
  timeoutMs: 2000,
  onFailure: "refuse",
  settings: {},
};

/** The configuration of a node without a configuration file, with the paths of Debian's packages. */
export const defaultConfig: Config = {
  root: "/var/lib/berthd",
  state: "/run/berthd",
  oomScore: 0,
  grpc: {
    address: "/run/berthd/berthd.sock",
    uid: 0,
    gid: 0,
    maxRecvBytes: 16 * 1024 * 1024,
    maxSendBytes: 64 * 1024 * 1024,
  },
  metrics: { address: "127.0.0.1:9464" },
  log: { level: "info", format: "auto" },
  cni: {
    confDir: "/etc/cni/net.d",
    binDirs: ["/opt/cni/bin", "/usr/lib/cni"],
    maxConfNum: 1,
    ipPreference: "ipv4",
    cacheDir: "/var/lib/berthd/cni",
  },
  registry: { configPath: "/etc/berthd/certs.d" },
  images: { snapshotter: "overlayfs", maxConcurrentDownloads: 3, pullProgressTimeoutMs: 300_000 },
  runtime: { defaultHandler: "runc", handlers: { runc: defaultHandler } },
  cri: {
    maxContainerLogLineSize: 16 * 1024,
    execSyncDrainTimeoutMs: 2000,
    execSyncOutputLimitBytes: 16 * 1024 * 1024,
    unsetSeccompProfile: "",
    apparmorProfile: "berth-default",
    enableUnprivilegedPorts: true,
    enableUnprivilegedIcmp: true,
    ignoreImageDefinedVolumes: false,
    restoreCheckpoints: false,
    disableHugetlbController: true,
    blockioConfigFile: "",
    ignoreBlockioNotEnabledErrors: false,
    ignoreRdtNotEnabledErrors: false,
    statsPeriodMs: 1000,
    sandboxImage: "localhost/berth/pause:0.1",
  },
  streaming: {
    address: "127.0.0.1:0",
    idleTimeoutMs: 4 * 60 * 60 * 1000,
    creationTimeoutMs: 30_000,
    maxSessions: 1000,
    tlsCertFile: "",
    tlsKeyFile: "",
  },
  plugins: { dir: "/etc/berthd/plugins.d", config: {} },
  timeouts: {
    shimLoadMs: 5000,
    shimCleanupMs: 5000,
    shimShutdownMs: 3000,
    taskStateMs: 2000,
    cniMs: 180_000,
  },
};
