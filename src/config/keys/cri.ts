// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { choice, duration, flag, integer, pathOrNone, size, text } from "../kinds.ts";

export const cri = table({
  doc: "Behaviour towards the kubelet.",
  keys: {
    maxContainerLogLineSize: key({
      name: "max_container_log_line_size",
      kind: integer(-1, 2 ** 30),
      default: 16 * 1024,
      change: "reload",
      doc: "Longer lines of a container's output are split in the log file, in bytes; -1 never splits.",
    }),
    /** Whether a shim holds a pod's sandbox, or a process that the daemon starts itself. */
    sandbox: key({
      name: "sandbox",
      kind: choice("process", "shim"),
      default: "process",
      change: "reload",
      doc: "What holds a pod's namespaces: `process` starts the sandbox image as a process of the daemon's, which is quicker, and a shim for the pod's containers beside; `shim` runs it by the handler's shim and OCI runtime, as containerd does. A process it is only where the handler's type is io.containerd.runc.v2, its binary_name is a file called runc, crun or youki, and its shim one called containerd-shim-runc-v2…; with systemd_cgroup its cgroup is a scope that systemd makes. Pods with a user namespace and the node's network, and those whose spec has more than a process can be (hooks, limits, further mounts, sysctls or a hostname that are not the pod's own), have a shim too. A pod keeps what it was made with.",
    }),
    /** How long ExecSync waits for output after the process has exited. */
    execSyncDrainTimeoutMs: key({
      name: "exec_sync_drain_timeout",
      kind: duration,
      default: 2000,
      change: "reload",
      doc: "How long ExecSync waits for output once the process has exited. A background child that keeps stdout open cannot hold the call longer.",
    }),
    /** Bytes kept per stream of ExecSync. */
    execSyncOutputLimitBytes: key({
      name: "exec_sync_output_limit",
      kind: size,
      default: 16 * 1024 * 1024,
      change: "reload",
      doc: "Bytes of output that ExecSync keeps of each stream; the rest is dropped, and what both together have beyond the 16MiB that kubelets take.",
    }),
    /** "" leaves a container without a profile unconfined; else as CRI's seccomp_profile_path. */
    unsetSeccompProfile: key({
      name: "unset_seccomp_profile",
      kind: text,
      default: "",
      change: "reload",
      doc: 'Profile of containers that ask for none: "" or "unconfined" for none, "runtime/default", or "localhost/" and the path of a profile.',
    }),
    /** AppArmor's profile for `runtime/default`; "" for none. */
    apparmorProfile: key({
      name: "apparmor_profile",
      kind: text,
      default: "berth-default",
      change: "reload",
      doc: 'AppArmor profile of containers that ask for `runtime/default`, or for nothing, where the kernel has AppArmor. `berth-default` is Berth\'s own and loaded when it is needed; any other must be loaded already. With "" there is none, and who asks for it is refused.',
    }),
    enableUnprivilegedPorts: key({
      name: "enable_unprivileged_ports",
      kind: flag,
      default: true,
      change: "reload",
      doc: "Let processes without privileges bind ports below 1024 in pods with a network namespace of their own.",
    }),
    enableUnprivilegedIcmp: key({
      name: "enable_unprivileged_icmp",
      kind: flag,
      default: true,
      change: "reload",
      doc: "Let processes without privileges send pings in such pods, unless the pod has a user namespace.",
    }),
    ignoreImageDefinedVolumes: key({
      name: "ignore_image_defined_volumes",
      kind: flag,
      default: false,
      change: "reload",
      doc: "Do not make a volume for each VOLUME of an image.",
    }),
    /** CreateContainer takes checkpoint archives and images of them. */
    restoreCheckpoints: key({
      name: "restore_checkpoints",
      kind: flag,
      default: false,
      change: "reload",
      doc: "Let CreateContainer restore a container from a checkpoint: an archive that CheckpointContainer wrote, by its path, or an image of one. Whoever may name an image may then have CRIU, as root, read what that image or file holds. While it is off, such images are images like any other, and a path is no image.",
    }),
    disableHugetlbController: key({
      name: "disable_hugetlb_controller",
      kind: flag,
      default: true,
      change: "reload",
      doc: "Leave hugepage limits out of container specs.",
    }),
    /** File of block I/O classes; "" for none. */
    blockioConfigFile: key({
      name: "blockio_config_file",
      kind: pathOrNone,
      default: "",
      change: "reload",
      doc: 'File of block I/O classes, YAML or JSON: `Classes: { NAME: [{ Weight: 200 }, { Devices: ["/dev/sd*"], Weight: 100, ThrottleReadBps: 50M, ThrottleWriteBps: 10Mi, ThrottleReadIOPS: 1k, ThrottleWriteIOPS: 500 }] }`. Pods name a class in the annotation `blockio.resources.beta.kubernetes.io/pod`, or `…/container.NAME` for one container. It is read when a container asks. "" for none.',
    }),
    /** Run a container without the class it asks for where no such classes are there at all. */
    ignoreBlockioNotEnabledErrors: key({
      name: "ignore_blockio_not_enabled_errors",
      kind: flag,
      default: false,
      change: "reload",
      doc: "Where no such file is configured, run containers that ask for a class without it, instead of refusing them.",
    }),
    ignoreRdtNotEnabledErrors: key({
      name: "ignore_rdt_not_enabled_errors",
      kind: flag,
      default: false,
      change: "reload",
      doc: "Where /sys/fs/resctrl is not mounted, run containers that ask for an RDT class (`rdt.resources.beta.kubernetes.io/pod` or `…/container.NAME`) without it. A class is a group there, which the administrator makes.",
    }),
    statsPeriodMs: key({
      name: "stats_period",
      kind: duration,
      default: 1000,
      change: "reload",
      doc: "How often CPU usage is sampled for the rate in stats.",
    }),
    /** Reported as the sandbox image; nothing is ever pulled for it. */
    sandboxImage: key({
      name: "sandbox_image",
      kind: text,
      default: "localhost/berth/pause:0.1",
      change: "restart",
      doc: "Name under which the built-in sandbox image is listed. It is part of Berth: nothing is pulled.",
    }),
  },
});
