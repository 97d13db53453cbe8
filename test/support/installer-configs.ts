// SPDX-License-Identifier: Apache-2.0

/** Files of another runtime, and what becomes of them. */
export interface InstallerConfig {
  readonly by: string;
  readonly texts: Readonly<Record<string, string>>;
  readonly becomes: unknown;
  /** Keys without a counterpart, as they are told. */
  readonly lost: readonly string[];
}

export const v2 = 'plugins."io.containerd.grpc.v1.cri"';
const runc = "io.containerd.runc.v2";

/** What installers write, in short: their keys and values, not their files. */
export const installerConfigs: readonly InstallerConfig[] = [
  {
    by: "kubeadm's instructions on containerd 1.6",
    texts: {
      "config.toml": `version = 2
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
  tcp_address = ""
[${v2}]
  sandbox_image = "registry.k8s.io/pause:3.9"
  enable_unprivileged_ports = false
  [${v2}.containerd.default_runtime]
    runtime_type = ""
  [${v2}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [${v2}.containerd.runtimes.runc.options]
      BinaryName = ""
      CriuPath = ""
      SystemdCgroup = true
`,
    },
    becomes: {
      cri: { enable_unprivileged_ports: false },
      runtime: { handlers: { runc: { type: runc, systemd_cgroup: true } } },
    },
    lost: [`${v2}.sandbox_image`],
  },
  {
    by: "containerd 2.4, version 4",
    texts: {
      "config.toml": `version = 4
imports = ["conf.d/*.toml"]
[plugins."io.containerd.server.v1.grpc"]
  address = "/run/containerd/containerd.sock"
  gid = 120
[plugins."io.containerd.server.v1.metrics"]
  address = "127.0.0.1:1338"
[plugins."io.containerd.cri.v1.images"]
  discard_unpacked_layers = true
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "/etc/containerd/certs.d:/etc/docker/certs.d"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  sandboxer = "podsandbox"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.transfer.v1.local"]
  max_concurrent_downloads = 10
  max_concurrent_unpacks = 4
  concurrent_layer_fetch_buffer = 8388608
`,
    },
    becomes: {
      grpc: { gid: 120 },
      metrics: { address: "127.0.0.1:1338" },
      // The CRI plugin pulls itself, without the transfer service, where layers are discarded.
      images: { discard_unpacked_layers: true },
      registry: { config_path: "/etc/containerd/certs.d:/etc/docker/certs.d" },
      runtime: { handlers: { runc: { type: runc } } },
      nri: { enable: false },
    },
    lost: [
      'plugins."io.containerd.transfer.v1.local".max_concurrent_unpacks',
      'plugins."io.containerd.transfer.v1.local".concurrent_layer_fetch_buffer',
    ],
  },
  {
    by: "AKS on containerd 2.3",
    texts: {
      "config.toml": `version = 4
oom_score = -999
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "mcr.microsoft.com/oss/kubernetes/pause:3.10"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  enable_cdi = true
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "nvidia-container-runtime"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia-container-runtime]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia-container-runtime.options]
  BinaryName = "/usr/bin/nvidia-container-runtime"
  SystemdCgroup = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata]
  runtime_type = "io.containerd.kata.v2"
  privileged_without_host_devices = true
  snapshotter = "erofs"
  pod_annotations = ["io.katacontainers.*"]
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata.options]
  ConfigPath = "/usr/share/defaults/kata-containers/configuration.toml"
[metrics]
  address = "0.0.0.0:10257"
`,
    },
    becomes: {
      registry: { config_path: "/etc/containerd/certs.d" },
      runtime: {
        default_handler: "nvidia-container-runtime",
        handlers: {
          "nvidia-container-runtime": {
            type: runc,
            binary_name: "/usr/bin/nvidia-container-runtime",
            systemd_cgroup: true,
          },
          kata: {
            type: "io.containerd.kata.v2",
            privileged_without_host_devices: true,
            pod_annotations: ["io.katacontainers.*"],
            options: { ConfigPath: "/usr/share/defaults/kata-containers/configuration.toml" },
          },
        },
      },
      metrics: { address: "0.0.0.0:10257" },
    },
    lost: [
      'plugins."io.containerd.cri.v1.images".pinned_images.sandbox',
      'plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata.snapshotter',
    ],
  },
  {
    by: "Talos 1.10 and newer, with its parts",
    texts: {
      "containerd.toml": `version = 3
disabled_plugins = ["io.containerd.internal.v1.tracing"]
imports = ["conf.d/*.part"]
[debug]
level = "info"
format = "json"
`,
      "conf.d/00-base.part": `version = 3
[plugins."io.containerd.cri.v1.images"]
  discard_unpacked_layers = true
  use_local_image_pull = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  base_runtime_spec = "/etc/cri/conf.d/base-spec.json"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
`,
      "conf.d/20-customization.part": `version = 3
[metrics]
  address = "0.0.0.0:11234"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "registry.k8s.io/pause:3.10"
  agent = "registry.example.com/agent:1"
`,
    },
    becomes: {
      log: { level: "info", format: "json" },
      images: { discard_unpacked_layers: true, pinned: ["registry.example.com/agent:1"] },
      runtime: { handlers: { runc: { base_runtime_spec: "/etc/cri/conf.d/base-spec.json" } } },
      nri: { enable: false },
      metrics: { address: "0.0.0.0:11234" },
    },
    lost: ["disabled_plugins", 'plugins."io.containerd.cri.v1.images".pinned_images.sandbox'],
  },
  {
    by: "EKS, Amazon Linux 2023",
    texts: {
      "config.toml": `version = 3
root = "/var/lib/containerd"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/kubernetes/pause"
[plugins."io.containerd.cri.v1.runtime"]
enable_cdi = true
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "nvidia"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia]
runtime_type = "io.containerd.runc.v2"
base_runtime_spec = "/etc/containerd/base-runtime-spec.json"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia.options]
BinaryName = "/usr/bin/nvidia-container-runtime"
SystemdCgroup = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dir = "/opt/cni/bin"
`,
    },
    becomes: {
      runtime: {
        default_handler: "nvidia",
        handlers: {
          nvidia: {
            type: runc,
            base_runtime_spec: "/etc/containerd/base-runtime-spec.json",
            binary_name: "/usr/bin/nvidia-container-runtime",
            systemd_cgroup: true,
          },
        },
      },
      cni: { bin_dirs: ["/opt/cni/bin"] },
    },
    lost: ['plugins."io.containerd.cri.v1.images".pinned_images.sandbox'],
  },
  {
    by: "AKS",
    texts: {
      "config.toml": `version = 2
oom_score = -999
root = "/mnt/containers"
[${v2}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${v2}.containerd.runtimes.runc.options]
  BinaryName = "/usr/bin/runc"
[${v2}.cni]
  conf_template = "/etc/containerd/kubenet_template.conf"
[${v2}.registry.headers]
  X-Meta-Source-Client = ["azure/aks"]
[metrics]
  address = "0.0.0.0:10257"
[proxy_plugins.overlaybd]
  type = "snapshot"
`,
    },
    becomes: {
      runtime: { handlers: { runc: { type: runc, binary_name: "/usr/bin/runc" } } },
      metrics: { address: "0.0.0.0:10257" },
    },
    lost: [
      "root",
      `${v2}.cni.conf_template`,
      "proxy_plugins.overlaybd.type",
      `${v2}.registry.headers.X-Meta-Source-Client`,
    ],
  },
  {
    by: "GKE",
    texts: {
      "config.toml": `version = 2
required_plugins = ["io.containerd.grpc.v1.cri"]
[debug]
  level = "info"
[${v2}]
  stream_server_address = "127.0.0.1"
  max_container_log_line_size = 262144
[${v2}.cni]
  bin_dir = "/home/kubernetes/bin"
[${v2}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${v2}.containerd.runtimes.gvisor]
  runtime_type = "io.containerd.runsc.v1"
  pod_annotations = ["dev.gvisor.*"]
  [${v2}.containerd.runtimes.gvisor.options]
    TypeUrl = "io.containerd.runsc.v1.options"
    ConfigPath = "/run/containerd/runsc/config.toml"
`,
    },
    becomes: {
      log: { level: "info" },
      cri: { max_container_log_line_size: 262_144 },
      cni: { bin_dirs: ["/home/kubernetes/bin"] },
      runtime: {
        handlers: {
          runc: { type: runc },
          gvisor: {
            type: "io.containerd.runsc.v1",
            pod_annotations: ["dev.gvisor.*"],
            options: {
              TypeUrl: "io.containerd.runsc.v1.options",
              ConfigPath: "/run/containerd/runsc/config.toml",
            },
          },
        },
      },
    },
    lost: [],
  },
  {
    by: "k3s and RKE2",
    texts: {
      "config.toml": `version = 3
root = "/var/lib/rancher/k3s/agent/containerd"
state = "/run/k3s/containerd"
[grpc]
  address = "/run/k3s/containerd/containerd.sock"
[plugins.'io.containerd.internal.v1.opt']
  path = "/var/lib/rancher/k3s/agent/containerd"
[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = "127.0.0.1"
  stream_server_port = "10010"
[plugins.'io.containerd.cri.v1.runtime']
  enable_selinux = false
  enable_unprivileged_ports = true
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  use_local_image_pull = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/var/lib/rancher/k3s/data/cni"]
  conf_dir = "/var/lib/rancher/k3s/agent/etc/cni/net.d"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = true
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"
`,
    },
    becomes: {
      streaming: { address: "127.0.0.1:10010" },
      cni: {
        bin_dirs: ["/var/lib/rancher/k3s/data/cni"],
        conf_dir: "/var/lib/rancher/k3s/agent/etc/cni/net.d",
      },
      runtime: { handlers: { runc: { systemd_cgroup: true } } },
      registry: { config_path: "/var/lib/rancher/k3s/agent/etc/containerd/certs.d" },
    },
    lost: ["root", "state", "grpc.address", 'plugins."io.containerd.internal.v1.opt".path'],
  },
  {
    by: "kind",
    texts: {
      "config.toml": `version = 2
disabled_plugins = []
[proxy_plugins.fuse-overlayfs]
  address = "/run/containerd-fuse-overlayfs.sock"
[${v2}]
  tolerate_missing_hugepages_controller = true
  restrict_oom_score_adj = true
  [${v2}.containerd.runtimes.test-handler]
    runtime_type = "io.containerd.runc.v2"
    base_runtime_spec = "/etc/containerd/cri-base.json"
    options.SystemdCgroup = true
`,
    },
    becomes: {
      runtime: {
        handlers: {
          "test-handler": {
            type: runc,
            base_runtime_spec: "/etc/containerd/cri-base.json",
            systemd_cgroup: true,
          },
        },
      },
    },
    lost: [
      "proxy_plugins.fuse-overlayfs.address",
      `${v2}.tolerate_missing_hugepages_controller`,
      `${v2}.restrict_oom_score_adj`,
    ],
  },
  {
    by: "the NVIDIA toolkit, by a drop-in",
    texts: {
      "config.toml": 'version = 2\nimports = ["/nowhere/*.toml", "conf.d/*.toml"]\n',
      "conf.d/99-nvidia.toml": `version = 2
[${v2}]
  enable_cdi = true
  [${v2}.containerd]
    default_runtime_name = "nvidia"
    [${v2}.containerd.runtimes.nvidia]
      privileged_without_host_devices = false
      runtime_engine = ""
      runtime_type = "io.containerd.runc.v2"
      [${v2}.containerd.runtimes.nvidia.options]
        BinaryName = "/usr/local/nvidia/toolkit/nvidia-container-runtime"
`,
    },
    becomes: {
      runtime: {
        default_handler: "nvidia",
        handlers: {
          nvidia: {
            type: runc,
            binary_name: "/usr/local/nvidia/toolkit/nvidia-container-runtime",
          },
        },
      },
    },
    lost: [],
  },
  {
    by: "Talos",
    texts: {
      "containerd.toml": `version = 3
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]
imports = ["/nowhere/cri/conf.d/*.part"]
[debug]
level = "info"
format = "json"
`,
    },
    becomes: { log: { level: "info", format: "json" } },
    lost: ["disabled_plugins"],
  },
  {
    by: "containerd before version 2",
    texts: {
      "config.toml": `[plugins.cri]
  systemd_cgroup = true
[plugins.cri.containerd.default_runtime]
  runtime_type = "io.containerd.runtime.v1.linux"
[plugins.cri.containerd.default_runtime.options]
  Runtime = "/usr/bin/nvidia-container-runtime"
`,
    },
    becomes: {
      runtime: {
        default_handler: "default",
        handlers: {
          runc: { systemd_cgroup: true },
          default: { type: runc, binary_name: "/usr/bin/nvidia-container-runtime" },
        },
      },
    },
    lost: [],
  },
  {
    by: "CRI-O, with its drop-ins",
    texts: {
      "crio.conf": `[crio.runtime]
default_runtime = "runc"
pids_limit = 1024
[crio.image]
pause_image = "registry.k8s.io/pause:3.10"
insecure_registries = ["reg.example:5000"]
[crio.network]
plugin_dirs = ["/opt/cni/bin/", "/usr/libexec/cni"]
`,
      "crio.conf.d/10-crun.conf": `[crio.runtime]
default_runtime = "crun"
[crio.runtime.runtimes.crun]
runtime_path = "/usr/libexec/crio/crun"
allowed_annotations = ["io.containers.trace-syscall"]
monitor_path = "/usr/libexec/crio/conmon"
`,
      "crio.conf.d/50-kata.conf": `[crio.runtime.runtimes.kata]
runtime_path = "/usr/bin/containerd-shim-kata-v2"
runtime_type = "vm"
runtime_config_path = "/etc/kata/config.toml"
[crio.metrics]
enable_metrics = true
metrics_port = 9537
`,
    },
    becomes: {
      runtime: {
        default_handler: "crun",
        handlers: {
          runc: { systemd_cgroup: true },
          crun: { binary_name: "/usr/libexec/crio/crun", systemd_cgroup: true },
          kata: {
            type: "io.containerd.kata.v2",
            shim: "/usr/bin/containerd-shim-kata-v2",
            options: { ConfigPath: "/etc/kata/config.toml" },
          },
        },
      },
      cni: { bin_dirs: ["/opt/cni/bin", "/usr/libexec/cni"] },
      metrics: { address: "127.0.0.1:9537" },
    },
    lost: [
      "crio.runtime.pids_limit",
      "crio.image.pause_image",
      "crio.runtime.runtimes.crun.allowed_annotations",
    ],
  },
];
