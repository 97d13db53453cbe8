// SPDX-License-Identifier: Apache-2.0
import { countOrLost, lost, nothing, type Rule, to, toHandler } from "./rule.ts";

const runtime = "cri/containerd/runtimes/*";

/** Runtimes that containerd 1.x had, and 2.x has not. */
function typeOf(type: unknown): unknown {
  if (type === "io.containerd.runtime.v1.linux" || type === "io.containerd.runc.v1")
    return "io.containerd.runc.v2";
  return type;
}

/** Keys of the CRI plugin, wherever its version has them. */
export const containerdCriRules: readonly Rule[] = [
  {
    at: "cri/sandbox_image",
    quiet: [""],
    becomes: lost(
      "berthd brings its own, which needs no registry; to keep this one, set [cri] sandbox_image",
    ),
  },
  {
    at: "cri/max_container_log_line_size",
    quiet: [16_384],
    becomes: (value) => [
      { key: ["cri", "max_container_log_line_size"], value: Number(value) <= 0 ? -1 : value },
    ],
  },
  {
    at: "cri/enable_unprivileged_ports",
    quiet: [true],
    becomes: to("cri.enable_unprivileged_ports"),
  },
  {
    at: "cri/enable_unprivileged_icmp",
    quiet: [true],
    becomes: to("cri.enable_unprivileged_icmp"),
  },
  { at: "cri/unset_seccomp_profile", quiet: [""], becomes: to("cri.unset_seccomp_profile") },
  {
    at: "cri/ignore_image_defined_volumes",
    quiet: [false],
    becomes: to("cri.ignore_image_defined_volumes"),
  },
  {
    at: "cri/disable_hugetlb_controller",
    quiet: [true],
    becomes: to("cri.disable_hugetlb_controller"),
  },
  {
    at: "cri/containerd/ignore_blockio_not_enabled_errors",
    quiet: [false],
    becomes: to("cri.ignore_blockio_not_enabled_errors"),
  },
  {
    at: "cri/containerd/ignore_rdt_not_enabled_errors",
    quiet: [false],
    becomes: to("cri.ignore_rdt_not_enabled_errors"),
  },
  {
    at: "cri/drain_exec_sync_io_timeout",
    quiet: ["", "0s", "0"],
    becomes: to("cri.exec_sync_drain_timeout"),
  },
  // finishPulls has these two: they say something together with others.
  { at: "cri/max_concurrent_downloads", becomes: countOrLost },
  { at: "cri/pinned_images/*", becomes: nothing },
  {
    at: "cri/concurrent_layer_fetch_buffer",
    quiet: [0],
    becomes: lost("a layer comes over one connection"),
  },
  // Layers are on the disk before an image is named, in any case.
  { at: "cri/image_pull_with_sync_fs", becomes: nothing },
  { at: "cri/use_local_image_pull", becomes: nothing },
  {
    at: "cri/runtime_platforms/**",
    quiet: [""],
    becomes: lost("all handlers have the same layers"),
  },
  {
    at: "cri/image_pull_progress_timeout",
    quiet: ["5m0s", "5m", "1m0s"],
    becomes: to("images.pull_progress_timeout"),
  },
  {
    at: "cri/containerd/discard_unpacked_layers",
    quiet: [false],
    becomes: to("images.discard_unpacked_layers"),
  },
  {
    at: "cri/containerd/snapshotter",
    quiet: ["overlayfs", ""],
    becomes: lost("layers become root file systems by overlayfs"),
  },
  {
    at: "cri/containerd/default_runtime_name",
    quiet: ["", "runc"],
    becomes: to("runtime.default_handler"),
  },
  { at: "cri/systemd_cgroup", quiet: [false], becomes: to("runtime.handlers.runc.systemd_cgroup") },
  {
    at: "cri/cni/bin_dir",
    quiet: [""],
    becomes: (value) => [{ key: ["cni", "bin_dirs"], value: [value] }],
  },
  { at: "cri/cni/bin_dirs", quiet: [[]], becomes: to("cni.bin_dirs") },
  { at: "cri/cni/conf_dir", quiet: ["", "/etc/cni/net.d"], becomes: to("cni.conf_dir") },
  { at: "cri/cni/max_conf_num", quiet: [1], becomes: to("cni.max_conf_num") },
  { at: "cri/cni/ip_pref", quiet: ["", "ipv4"], becomes: to("cni.ip_preference") },
  {
    at: "cri/cni/conf_template",
    quiet: [""],
    becomes: lost(
      "CNI files are not made from templates: the network add-on writes them, or you do",
    ),
  },
  { at: "cri/cni/**", quiet: [false, true], becomes: nothing },
  { at: "cri/registry/config_path", quiet: [""], becomes: to("registry.config_path") },
  { at: "cri/stream_idle_timeout", quiet: ["4h0m0s", "4h"], becomes: to("streaming.idle_timeout") },
  {
    at: "cri/x509_key_pair_streaming/tls_cert_file",
    quiet: [""],
    becomes: to("streaming.tls_cert_file"),
  },
  {
    at: "cri/x509_key_pair_streaming/tls_key_file",
    quiet: [""],
    becomes: to("streaming.tls_key_file"),
  },
  {
    at: "cri/enable_tls_streaming",
    quiet: [false],
    becomes: lost(
      "berthd serves TLS where [streaming] has tls_cert_file and tls_key_file; it makes no certificate itself",
    ),
  },
  {
    at: "cri/enable_selinux",
    quiet: [false],
    becomes: lost("berthd writes no SELinux labels, and refuses pods that ask for some"),
  },
  {
    at: "cri/disable_apparmor",
    quiet: [false],
    becomes: (value) => (value === true ? [{ key: ["cri", "apparmor_profile"], value: "" }] : []),
  },
  {
    at: "cri/enable_cdi",
    quiet: [true],
    becomes: lost("CDI is always on: containers ask for devices by name"),
  },
  {
    at: "cri/cdi_spec_dirs",
    quiet: [
      ["/etc/cdi", "/var/run/cdi"],
      ["/etc/cdi", "/run/cdi"],
    ],
    becomes: lost("CDI files are read from /etc/cdi and /var/run/cdi"),
  },
  {
    at: "cri/restrict_oom_score_adj",
    quiet: [false],
    becomes: lost("berthd runs as root of the host"),
  },
  {
    at: "cri/disable_cgroup",
    quiet: [false],
    becomes: lost("berthd runs as root of the host, with cgroups"),
  },
  {
    at: "cri/disable_proc_mount",
    quiet: [false],
    becomes: lost("procMount is the pod's to ask for"),
  },
  {
    at: "cri/device_ownership_from_security_context",
    quiet: [false],
    becomes: lost("devices belong to whom they belong on the host"),
  },
  {
    at: "cri/stats_collect_period",
    quiet: ["", 10],
    becomes: lost(
      "figures are read when they are asked for; [cri] stats_period is how old they may be",
    ),
  },
  {
    at: "cri/image_decryption/**",
    quiet: ["", "node"],
    becomes: lost("encrypted layers are not supported"),
  },
  {
    at: "cri/containerd/no_pivot",
    quiet: [false],
    becomes: to("runtime.handlers.runc.options.NoPivotRoot"),
  },
  { at: "cri/containerd/disable_snapshot_annotations", becomes: nothing },
  {
    at: `${runtime}/runtime_type`,
    quiet: [""],
    becomes: (value, [name = ""]) => [
      { key: ["runtime", "handlers", name, "type"], value: typeOf(value) },
    ],
  },
  { at: `${runtime}/runtime_path`, quiet: [""], becomes: toHandler("shim") },
  { at: `${runtime}/runtime_root`, quiet: [""], becomes: toHandler("options", "Root") },
  { at: `${runtime}/runtime_engine`, quiet: [""], becomes: toHandler("binary_name") },
  { at: `${runtime}/base_runtime_spec`, quiet: [""], becomes: toHandler("base_runtime_spec") },
  { at: `${runtime}/pod_annotations`, quiet: [[]], becomes: toHandler("pod_annotations") },
  {
    at: `${runtime}/container_annotations`,
    quiet: [[]],
    becomes: toHandler("container_annotations"),
  },
  {
    at: `${runtime}/privileged_without_host_devices`,
    quiet: [false],
    becomes: toHandler("privileged_without_host_devices"),
  },
  { at: `${runtime}/cgroup_writable`, quiet: [false], becomes: toHandler("cgroup_writable") },
  {
    at: `${runtime}/sandboxer`,
    quiet: ["", "podsandbox", "podsandboxer"],
    becomes: lost(
      'sandboxes are made by berthd, or with [cri] sandbox = "shim" by the shim\'s Tasks',
    ),
  },
  {
    at: `${runtime}/sandbox_mode`,
    quiet: ["", "podsandbox"],
    becomes: lost(
      'sandboxes are made by berthd, or with [cri] sandbox = "shim" by the shim\'s Tasks',
    ),
  },
  {
    at: `${runtime}/snapshotter`,
    quiet: ["", "overlayfs"],
    becomes: lost("all handlers have the same layers"),
  },
  {
    at: `${runtime}/cni_conf_dir`,
    quiet: [""],
    becomes: lost("all handlers have the networks of [cni] conf_dir"),
  },
  {
    at: `${runtime}/cni_max_conf_num`,
    quiet: [0, 1],
    becomes: lost("all handlers have the networks of [cni]"),
  },
  { at: `${runtime}/io_type`, quiet: ["", "fifo"], becomes: lost("containers' streams are FIFOs") },
  {
    at: `${runtime}/privileged_without_host_devices_all_devices_allowed`,
    quiet: [false],
    becomes: lost("privileged containers without the host's devices get those they list"),
  },
  { at: `${runtime}/disable_pause_image_pull`, becomes: nothing },
  { at: `${runtime}/options/BinaryName`, quiet: [""], becomes: toHandler("binary_name") },
  { at: `${runtime}/options/Runtime`, quiet: [""], becomes: toHandler("binary_name") },
  { at: `${runtime}/options/SystemdCgroup`, quiet: [false], becomes: toHandler("systemd_cgroup") },
  { at: `${runtime}/options/CriuPath`, quiet: [""], becomes: lost("runc looks for criu on PATH") },
  {
    at: `${runtime}/options/*`,
    quiet: ["", 0, false],
    becomes: (value, [handler = "", option = ""]) => [
      { key: ["runtime", "handlers", handler, "options", option], value },
    ],
  },
  { at: "cri/disable_tcp_service", becomes: nothing },
  { at: "cri/stream_server_address", becomes: nothing },
  { at: "cri/stream_server_port", becomes: nothing },
  { at: "cri/netns_mounts_under_state_dir", becomes: nothing },
  { at: "cri/tolerate_missing_hugetlb_controller", becomes: nothing },
  { at: "cri/selinux_category_range", becomes: nothing },
  { at: "cri/ignore_deprecation_warnings", becomes: nothing },
  { at: "cri/enable_criu", becomes: nothing },
  { at: "cri/**", quiet: ["", 0, false, []], becomes: lost("berthd has no such key") },
];
