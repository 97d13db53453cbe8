// SPDX-License-Identifier: Apache-2.0
// What Kubernetes' own release notes say of settings that go. A line is added with each release of Kubernetes.

/** A flag that a kubelet of that minor version no longer knows: it ends with `unknown flag`. */
interface GoneFlag {
  readonly flag: string;
  readonly gone: number;
}

function gone(minor: number, ...flags: readonly string[]): readonly GoneFlag[] {
  return flags.map((flag) => ({ flag, gone: minor }));
}

export const flagsGone: readonly GoneFlag[] = [
  ...gone(24, "network-plugin", "cni-bin-dir", "cni-conf-dir", "cni-cache-dir"),
  ...gone(24, "network-plugin-mtu", "docker-endpoint", "image-pull-progress-deadline"),
  ...gone(24, "experimental-dockershim-root-directory"),
  ...gone(27, "container-runtime"),
  ...gone(31, "keep-terminated-pod-volumes"),
  ...gone(34, "cloud-config"),
  ...gone(35, "pod-infra-container-image"),
  ...gone(37, "containerd", "containerd-namespace", "application-metrics-count-limit"),
  ...gone(37, "boot-id-file", "container-hints", "enable-load-reader", "machine-id-file"),
  ...gone(37, "event-storage-age-limit", "event-storage-event-limit", "log-cadvisor-usage"),
  ...gone(37, "global-housekeeping-interval", "storage-driver-user", "storage-driver-password"),
  ...gone(37, "storage-driver-host", "storage-driver-db", "storage-driver-table"),
  ...gone(37, "storage-driver-secure", "storage-driver-buffer-duration"),
];

/** Gates of the node that a kubelet of that minor version no longer knows: it ends with `unrecognized feature gate`. */
export const gatesGone: Readonly<Record<string, number>> = {
  DynamicKubeletConfig: 26,
  SidecarContainers: 37,
  PodLifecycleSleepAction: 37,
  PodLifecycleSleepActionAllowZero: 37,
  SupplementalGroupsPolicy: 38,
  NodeSwap: 38,
  InPlacePodVerticalScaling: 38,
  ExecProbeTimeout: 38,
};

/** Gates that are there and cannot be set to false from that minor version on, as far as runtimes are concerned. */
export const gatesLocked: Readonly<Record<string, number>> = {
  PLEGOnDemandRelist: 37,
  HostnameOverride: 37,
  NodeDeclaredFeatures: 37,
  ImageVolume: 37,
  UserNamespacesSupport: 37,
  RecursiveReadOnlyMounts: 37,
  ProcMountType: 37,
  KubeletPSI: 37,
  KubeletCgroupDriverFromCRI: 37,
  SupplementalGroupsPolicy: 37,
  NodeSwap: 37,
  InPlacePodVerticalScaling: 37,
  ExecProbeTimeout: 37,
};
