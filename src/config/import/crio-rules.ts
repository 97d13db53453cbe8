// SPDX-License-Identifier: Apache-2.0
import { lost, nothing, type Rule, to, toHandler, toLevel } from "./rule.ts";

const runtime = "crio/runtime/runtimes/*";
const storage = "berthd has its own layers, below root";
const kubelet = "the kubelet says so for each container";

export const crioRules: readonly Rule[] = [
  { at: "crio/log_level", becomes: toLevel },
  { at: "crio/root", quiet: ["", "/var/lib/containers/storage"], becomes: lost(storage) },
  {
    at: "crio/runroot",
    quiet: ["", "/run/containers/storage", "/var/run/containers/storage"],
    becomes: lost(storage),
  },
  { at: "crio/storage_driver", quiet: ["", "overlay"], becomes: lost(storage) },
  { at: "crio/storage_option", quiet: [[]], becomes: lost(storage) },
  {
    at: "crio/log_dir",
    quiet: ["", "/var/log/crio/pods"],
    becomes: lost("the kubelet says where logs are"),
  },
  {
    at: "crio/api/listen",
    quiet: ["", "/var/run/crio/crio.sock", "/run/crio/crio.sock"],
    becomes: lost("the kubelet finds berthd at /run/berthd/berthd.sock"),
  },
  {
    at: "crio/api/grpc_max_recv_msg_size",
    quiet: [0, 16_777_216, 83_886_080],
    becomes: to("grpc.max_recv_message_size"),
  },
  {
    at: "crio/api/grpc_max_send_msg_size",
    quiet: [0, 16_777_216, 83_886_080],
    becomes: to("grpc.max_send_message_size"),
  },
  { at: "crio/api/stream_tls_cert", quiet: [""], becomes: to("streaming.tls_cert_file") },
  { at: "crio/api/stream_tls_key", quiet: [""], becomes: to("streaming.tls_key_file") },
  { at: "crio/api/stream_idle_timeout", quiet: [""], becomes: to("streaming.idle_timeout") },
  { at: "crio/api/stream_address", becomes: nothing },
  { at: "crio/api/stream_port", becomes: nothing },
  { at: "crio/api/**", quiet: ["", 0, false], becomes: lost("berthd has no such key") },
  { at: "crio/runtime/log_level", quiet: [""], becomes: toLevel },
  { at: "crio/runtime/default_runtime", quiet: [""], becomes: to("runtime.default_handler") },
  { at: "crio/runtime/cgroup_manager", becomes: nothing },
  {
    at: "crio/runtime/apparmor_profile",
    quiet: ["", "crio-default"],
    becomes: to("cri.apparmor_profile"),
  },
  {
    at: "crio/runtime/seccomp_profile",
    quiet: ["", "/etc/crio/seccomp.json", "/usr/share/containers/seccomp.json"],
    becomes: lost("a pod asks for RuntimeDefault, or for a file by localhostProfile"),
  },
  { at: "crio/runtime/blockio_config_file", quiet: [""], becomes: to("cri.blockio_config_file") },
  {
    at: "crio/runtime/no_pivot",
    quiet: [false],
    becomes: to("runtime.handlers.runc.options.NoPivotRoot"),
  },
  {
    at: "crio/runtime/selinux",
    quiet: [false],
    becomes: lost("berthd writes no SELinux labels, and refuses pods that ask for some"),
  },
  {
    at: "crio/runtime/pids_limit",
    quiet: [0, -1],
    becomes: lost("set podPidsLimit of the kubelet"),
  },
  {
    at: "crio/runtime/log_size_max",
    quiet: [0, -1],
    becomes: lost("the kubelet rotates logs: containerLogMaxSize"),
  },
  {
    at: "crio/runtime/hooks_dir",
    quiet: [[], ["/usr/share/containers/oci/hooks.d"]],
    becomes: lost("OCI hooks are added by NRI plugins, or a handler's base_runtime_spec"),
  },
  { at: "crio/runtime/default_capabilities", quiet: [[]], becomes: lost(kubelet) },
  {
    at: "crio/runtime/default_sysctls",
    quiet: [[]],
    becomes: lost(`${kubelet}; an NRI plugin or a handler's base_runtime_spec may set more`),
  },
  {
    at: "crio/runtime/default_ulimits",
    quiet: [[]],
    becomes: lost(
      "set LimitNOFILE= and the like in berthd.service, or rlimits in a handler's base_runtime_spec",
    ),
  },
  {
    at: "crio/runtime/default_env",
    quiet: [[]],
    becomes: lost("an NRI plugin may set variables for all containers"),
  },
  {
    at: "crio/runtime/additional_devices",
    quiet: [[]],
    becomes: lost("CDI files name devices, which pods ask for"),
  },
  { at: "crio/runtime/timezone", quiet: [""], becomes: lost(kubelet) },
  { at: `${runtime}/runtime_path`, quiet: [""], becomes: toHandler("binary_name") },
  { at: `${runtime}/runtime_root`, quiet: [""], becomes: toHandler("options", "Root") },
  {
    at: `${runtime}/runtime_type`,
    quiet: ["", "oci", "vm"],
    becomes: lost("it is neither oci nor vm"),
  },
  {
    at: `${runtime}/runtime_config_path`,
    quiet: [""],
    becomes: toHandler("options", "ConfigPath"),
  },
  {
    at: `${runtime}/privileged_without_host_devices`,
    quiet: [false],
    becomes: toHandler("privileged_without_host_devices"),
  },
  {
    at: `${runtime}/allowed_annotations`,
    quiet: [[]],
    becomes: lost(
      "these are CRI-O's own; annotations for an OCI runtime pass by pod_annotations and container_annotations",
    ),
  },
  { at: `${runtime}/default_annotations/*`, becomes: lost("annotations come from pods") },
  { at: `${runtime}/container_min_memory`, becomes: nothing },
  { at: `${runtime}/monitor_path`, becomes: nothing },
  { at: `${runtime}/monitor_cgroup`, becomes: nothing },
  { at: `${runtime}/monitor_exec_cgroup`, becomes: nothing },
  { at: `${runtime}/monitor_env`, becomes: nothing },
  { at: `${runtime}/inherit_default_runtime`, becomes: nothing },
  { at: `${runtime}/**`, quiet: ["", 0, false, []], becomes: lost("berthd has no such key") },
  { at: "crio/runtime/workloads/**", becomes: lost("an NRI plugin may set the CPUs of workloads") },
  { at: "crio/runtime/conmon", becomes: nothing },
  { at: "crio/runtime/conmon_cgroup", becomes: nothing },
  { at: "crio/runtime/conmon_env", becomes: nothing },
  { at: "crio/runtime/drop_infra_ctr", becomes: nothing },
  { at: "crio/runtime/pinns_path", becomes: nothing },
  { at: "crio/runtime/namespaces_dir", becomes: nothing },
  { at: "crio/runtime/container_exits_dir", becomes: nothing },
  { at: "crio/runtime/container_attach_socket_dir", becomes: nothing },
  { at: "crio/runtime/enable_pod_events", becomes: nothing },
  { at: "crio/runtime/enable_criu_support", becomes: nothing },
  {
    at: "crio/image/pause_image",
    quiet: [""],
    becomes: lost(
      "berthd brings its own, which needs no registry; to keep this one, set [cri] sandbox_image",
    ),
  },
  { at: "crio/image/pause_command", becomes: nothing },
  {
    at: "crio/image/pause_image_auth_file",
    quiet: [""],
    becomes: lost("berthd's own pause needs no registry"),
  },
  { at: "crio/image/pinned_images", quiet: [[]], becomes: to("images.pinned") },
  {
    at: "crio/image/pull_progress_timeout",
    quiet: ["", "0s"],
    becomes: to("images.pull_progress_timeout"),
  },
  {
    at: "crio/image/signature_policy",
    quiet: ["", "/etc/crio/policy.json"],
    becomes: lost("signatures of images are not checked by berthd: use an admission policy"),
  },
  {
    at: "crio/image/global_auth_file",
    quiet: [""],
    becomes: lost(
      "pull secrets and the kubelet's credential providers have logins; a mirror's is in the header of its hosts.toml",
    ),
  },
  {
    at: "crio/image/registries",
    quiet: [[]],
    becomes: lost("names of images are whole, or of docker.io: no registries are searched"),
  },
  { at: "crio/image/insecure_registries", becomes: nothing },
  {
    at: "crio/network/network_dir",
    quiet: ["", "/etc/cni/net.d", "/etc/cni/net.d/"],
    becomes: (value) => [
      { key: ["cni", "conf_dir"], value: String(value).replace(/(.)\/+$/, "$1") },
    ],
  },
  {
    at: "crio/network/plugin_dirs",
    quiet: [[]],
    becomes: (value) => [
      {
        key: ["cni", "bin_dirs"],
        value: Array.isArray(value)
          ? value.map((one) => String(one).replace(/(.)\/+$/, "$1"))
          : value,
      },
    ],
  },
  {
    at: "crio/network/cni_default_network",
    quiet: [""],
    becomes: lost("the first file of [cni] conf_dir is taken: name it so that it comes first"),
  },
  { at: "crio/metrics/**", becomes: nothing },
  {
    at: "crio/nri/enable_nri",
    becomes: (value) => (value === false ? [{ key: ["nri", "enable"], value }] : []),
  },
  {
    at: "crio/nri/nri_listen",
    quiet: ["", "/var/run/nri/nri.sock"],
    becomes: to("nri.socket_path"),
  },
  {
    at: "crio/nri/nri_plugin_dir",
    quiet: ["", "/opt/nri/plugins"],
    becomes: to("nri.plugin_path"),
  },
  {
    at: "crio/nri/nri_plugin_config_dir",
    quiet: ["", "/etc/nri/conf.d"],
    becomes: to("nri.plugin_config_path"),
  },
  {
    at: "crio/nri/nri_plugin_registration_timeout",
    quiet: ["5s"],
    becomes: to("nri.registration_timeout"),
  },
  { at: "crio/nri/nri_plugin_request_timeout", quiet: ["2s"], becomes: to("nri.request_timeout") },
  {
    at: "crio/nri/nri_disable_connections",
    quiet: [false],
    becomes: to("nri.disable_connections"),
  },
  {
    at: "crio/stats/**",
    quiet: [0],
    becomes: lost(
      "figures are read when they are asked for; [cri] stats_period is how old they may be",
    ),
  },
  {
    at: "crio/tracing/enable_tracing",
    quiet: [false],
    becomes: lost("stages of calls are metrics, and in berth operations"),
  },
  { at: "crio/tracing/**", becomes: nothing },
  { at: "**", quiet: ["", 0, false, []], becomes: lost("berthd has no such key") },
];
