// SPDX-License-Identifier: Apache-2.0
import { defaultHandler, defaultOperatorPlugin } from "./defaults.ts";
import {
  choice,
  duration,
  type Field,
  flag,
  freeTable,
  integer,
  list,
  pathField,
  paths,
  searchPath,
  size,
  text,
} from "./field.ts";

/** One table of the TOML file. The first one, with key "", holds the keys above all tables. */
export interface Section {
  readonly key: string;
  /** Its property in Config. */
  readonly property: string;
  readonly doc: string;
  readonly fields: readonly Field[];
  /** Tables of free names inside it, `[runtime.handlers.NAME]`. */
  readonly tables?: NamedTables;
}

export interface NamedTables {
  readonly key: string;
  /** Its property in the section's part of Config: an object by name. */
  readonly property: string;
  /** What a name is, for messages. */
  readonly noun: string;
  readonly doc: string;
  readonly fields: readonly Field[];
  /** One table in which nothing is set. */
  readonly defaults: object;
  /** Property that takes the keys which are not among `fields`; without it they are errors. */
  readonly rest?: string;
}

const maxId = 2 ** 32 - 2;

/** The keys of one `[runtime.handlers.NAME]` table. */
const handlerFields: readonly Field[] = [
  text(
    ["type", "type"],
    "Name of the runtime, which leads to the shim binary: io.containerd.runc.v2 is containerd-shim-runc-v2.",
  ),
  pathField(["shim", "shim"], 'Path of the shim binary; "" looks it up on PATH by the type.', true),
  choice(
    ["shim_launch", "shimLaunch"],
    "How its shims start: `helper` runs the shim's start command, which forks the serving process; `direct` starts that process itself, with a socket that listens already, and is quicker; `auto` does so with containerd's runc shims. Tasks that join another's shim, and those with ShimCgroup, take the helper in any case.",
    ["auto", "helper", "direct"],
  ),
  text(
    ["binary_name", "binaryName"],
    'OCI runtime the shim calls, a name on PATH or a path; "" is the shim\'s own default, runc.',
  ),
  flag(
    ["systemd_cgroup", "systemdCgroup"],
    "Use systemd for cgroups. Must equal the kubelet's cgroupDriver, which it learns from RuntimeConfig.",
  ),
  freeTable(
    ["options", "options"],
    "Further options of the runtime, named as in containerd. Of runc shims: Root, NoPivotRoot, NoNewKeyring, ShimCgroup, IoUid, IoGid, CriuImagePath, CriuWorkPath. Any other shim gets them as `runtimeoptions.v1.Options`: TypeUrl says what they are in its terms, ConfigPath is the file of its settings; without ConfigPath it gets the whole table as TOML.",
  ),
  list(
    ["pod_annotations", "podAnnotations"],
    "Globs of pod annotations that are copied into the OCI spec of its sandbox and containers. What OCI runtimes take for orders (`org.systemd.property.`, `org.criu.`, `run.oci.`) passes only by a glob that begins with those words.",
  ),
  list(
    ["container_annotations", "containerAnnotations"],
    "Globs of container annotations that are copied into the container's OCI spec; of a runtime's orders as above.",
  ),
  flag(
    ["privileged_without_host_devices", "privilegedWithoutHostDevices"],
    "Give privileged containers only the devices they list.",
  ),
  pathField(
    ["base_runtime_spec", "baseRuntimeSpec"],
    'JSON file with an OCI spec to start from; "" for the built-in one.',
    true,
  ),
  flag(
    ["cgroup_writable", "cgroupWritable"],
    "Mount the cgroup file system writable in containers that are not privileged.",
  ),
];

/** The keys of one `[plugins.config.NAME]` table. */
const operatorPluginFields: readonly Field[] = [
  duration(
    ["timeout", "timeoutMs"],
    "How long one call of a hook may take. A plugin that takes longer is ended and started anew.",
  ),
  choice(
    ["on_failure", "onFailure"],
    "When it cannot be loaded, throws, takes too long or answers a spec that is none: refuse the pod or container, or ignore the plugin and go on.",
    ["refuse", "ignore"],
  ),
];

/**
 * Every key of the configuration file, in the order the reference and `berthd config dump` show
 * them. The schema, the writer and docs/configuration.md are all made from this table.
 */
export const sections: readonly Section[] = [
  {
    key: "",
    property: "",
    doc: "Where the daemon keeps its state.",
    fields: [
      pathField(
        ["root", "root"],
        "Folder of what must survive a reboot: database, image content, snapshots.",
      ),
      pathField(
        ["state", "state"],
        "Folder of what a reboot may clear: socket, bundles, FIFOs, pinned network namespaces, sandbox files. Best on a tmpfs.",
      ),
      integer(
        ["oom_score", "oomScore"],
        "The daemon's own oom_score_adj; 0 leaves it as it was started. A value below the present one needs CAP_SYS_RESOURCE; without it the daemon goes on and logs a warning.",
        { min: -1000, max: 1000 },
      ),
    ],
  },
  {
    key: "grpc",
    property: "grpc",
    doc: "The unix socket that serves CRI to the kubelet and containerd's services to ctr and berth.",
    fields: [
      pathField(
        ["address", "address"],
        "Path of the socket. When it is not set, it is `berthd.sock` in the state folder. Shims report events to the same path with `.ttrpc` appended.",
      ),
      integer(["uid", "uid"], "Owner of the socket.", { min: 0, max: maxId }),
      integer(["gid", "gid"], "Group of the socket; its mode is 0660.", { min: 0, max: maxId }),
      size(["max_recv_message_size", "maxRecvBytes"], "Largest request that is accepted."),
      size(
        ["max_send_message_size", "maxSendBytes"],
        "Largest answer that is sent. ExecSync answers with both streams in one, and kubelets take 16MiB.",
      ),
    ],
  },
  {
    key: "metrics",
    property: "metrics",
    doc: "The HTTP endpoint for Prometheus: /metrics and /healthz.",
    fields: [
      text(
        ["address", "address"],
        '`host:port` to listen on, an IPv6 host in brackets; port 0 takes any free port. "" turns the endpoint off. It has no authentication: keep it on loopback or behind a firewall.',
      ),
    ],
  },
  {
    key: "log",
    property: "log",
    doc: "The daemon's own log, on standard error.",
    fields: [
      choice(["level", "level"], "Least severe level that is written.", [
        "trace",
        "debug",
        "info",
        "warn",
        "error",
        "fatal",
      ]),
      choice(
        ["format", "format"],
        '"auto" writes readable lines on a terminal and JSON elsewhere.',
        ["auto", "json", "pretty"],
      ),
    ],
  },
  {
    key: "cni",
    property: "cni",
    doc: "Pod networks.",
    fields: [
      pathField(
        ["conf_dir", "confDir"],
        "Folder of network configurations (*.conflist, *.conf, *.json), read in lexical order.",
      ),
      paths(["bin_dirs", "binDirs"], "Folders of the plugins, searched in order."),
      integer(
        ["max_conf_num", "maxConfNum"],
        "How many network configurations are loaded; 0 for all of them.",
        {
          min: 0,
          max: 1000,
        },
      ),
      choice(
        ["ip_preference", "ipPreference"],
        'Which address of a dual-stack pod is its first: "cni" keeps the order of the plugin\'s result.',
        ["ipv4", "ipv6", "cni"],
      ),
      pathField(
        ["cache_dir", "cacheDir"],
        "Folder of cached plugin results, needed to undo a network after a restart. When it is not set, it is `cni` in the root folder.",
      ),
    ],
  },
  {
    key: "registry",
    property: "registry",
    doc: "Where images are pulled from.",
    fields: [
      searchPath(
        ["config_path", "configPath"],
        'Folder of HOST/hosts.toml files with mirrors and certificates; "" for none. Of several, "A:B", the first counts that has a file for the host or for _default. A pull secret goes to the registry it names only: a mirror that wants a login has it in its "header".',
      ),
    ],
  },
  {
    key: "images",
    property: "images",
    doc: "Pulling and unpacking images.",
    fields: [
      choice(["snapshotter", "snapshotter"], "How layers become root file systems.", ["overlayfs"]),
      integer(
        ["max_concurrent_downloads", "maxConcurrentDownloads"],
        "Layers downloaded at once for one image.",
        {
          min: 1,
          max: 64,
        },
      ),
      duration(
        ["pull_progress_timeout", "pullProgressTimeoutMs"],
        "What a registry does not answer for this long fails, and so does a download below 1 KiB/s on average; 0s waits for a download for ever.",
      ),
    ],
  },
  {
    key: "runtime",
    property: "runtime",
    doc: "OCI runtimes.",
    fields: [
      text(
        ["default_handler", "defaultHandler"],
        "Handler of pods whose RuntimeClass names none; a key of [runtime.handlers].",
      ),
    ],
    tables: {
      key: "handlers",
      property: "handlers",
      noun: "handler",
      doc: "One table for each handler, named as a RuntimeClass names it in `handler`. `runc` is there from the start.",
      fields: handlerFields,
      defaults: defaultHandler,
    },
  },
  {
    key: "cri",
    property: "cri",
    doc: "Behaviour towards the kubelet.",
    fields: [
      integer(
        ["max_container_log_line_size", "maxContainerLogLineSize"],
        "Longer lines of a container's output are split in the log file, in bytes; -1 never splits.",
        { min: -1, max: 2 ** 30 },
      ),
      duration(
        ["exec_sync_drain_timeout", "execSyncDrainTimeoutMs"],
        "How long ExecSync waits for output once the process has exited. A background child that keeps stdout open cannot hold the call longer.",
      ),
      size(
        ["exec_sync_output_limit", "execSyncOutputLimitBytes"],
        "Bytes of output that ExecSync keeps of each stream; the rest is dropped, and what both together have beyond the 16MiB that kubelets take.",
      ),
      text(
        ["unset_seccomp_profile", "unsetSeccompProfile"],
        'Profile of containers that ask for none: "" or "unconfined" for none, "runtime/default", or "localhost/" and the path of a profile.',
      ),
      text(
        ["apparmor_profile", "apparmorProfile"],
        'AppArmor profile of containers that ask for `runtime/default`, or for nothing, where the kernel has AppArmor. `berth-default` is Berth\'s own and loaded when it is needed; any other must be loaded already. With "" there is none, and who asks for it is refused.',
      ),
      flag(
        ["enable_unprivileged_ports", "enableUnprivilegedPorts"],
        "Let processes without privileges bind ports below 1024 in pods with a network namespace of their own.",
      ),
      flag(
        ["enable_unprivileged_icmp", "enableUnprivilegedIcmp"],
        "Let processes without privileges send pings in such pods, unless the pod has a user namespace.",
      ),
      flag(
        ["ignore_image_defined_volumes", "ignoreImageDefinedVolumes"],
        "Do not make a volume for each VOLUME of an image.",
      ),
      flag(
        ["restore_checkpoints", "restoreCheckpoints"],
        "Let CreateContainer restore a container from a checkpoint: an archive that CheckpointContainer wrote, by its path, or an image of one. Whoever may name an image may then have CRIU, as root, read what that image or file holds. While it is off, such images are images like any other, and a path is no image.",
      ),
      flag(
        ["disable_hugetlb_controller", "disableHugetlbController"],
        "Leave hugepage limits out of container specs.",
      ),
      pathField(
        ["blockio_config_file", "blockioConfigFile"],
        'File of block I/O classes, YAML or JSON: `Classes: { NAME: [{ Weight: 200 }, { Devices: ["/dev/sd*"], Weight: 100, ThrottleReadBps: 50M, ThrottleWriteBps: 10Mi, ThrottleReadIOPS: 1k, ThrottleWriteIOPS: 500 }] }`. Pods name a class in the annotation `blockio.resources.beta.kubernetes.io/pod`, or `…/container.NAME` for one container. It is read when a container asks. "" for none.',
        true,
      ),
      flag(
        ["ignore_blockio_not_enabled_errors", "ignoreBlockioNotEnabledErrors"],
        "Where no such file is configured, run containers that ask for a class without it, instead of refusing them.",
      ),
      flag(
        ["ignore_rdt_not_enabled_errors", "ignoreRdtNotEnabledErrors"],
        "Where /sys/fs/resctrl is not mounted, run containers that ask for an RDT class (`rdt.resources.beta.kubernetes.io/pod` or `…/container.NAME`) without it. A class is a group there, which the administrator makes.",
      ),
      duration(
        ["stats_period", "statsPeriodMs"],
        "How often CPU usage is sampled for the rate in stats.",
      ),
      text(
        ["sandbox_image", "sandboxImage"],
        "Name under which the built-in sandbox image is listed. It is part of Berth: nothing is pulled.",
      ),
    ],
  },
  {
    key: "streaming",
    property: "streaming",
    doc: "The server behind the URLs of exec, attach and port-forward. The kubelet connects to it on this node.",
    fields: [
      text(
        ["address", "address"],
        "`host:port` to listen on, an IPv6 host in brackets; port 0 takes any free port. Whoever knows an unused URL, which is random and good for a minute, can use it: keep it on loopback or give it a certificate.",
      ),
      duration(
        ["idle_timeout", "idleTimeoutMs"],
        "A session that moved no byte for this long is closed; 0s never closes one.",
      ),
      duration(
        ["creation_timeout", "creationTimeoutMs"],
        "How long a client may take to open the streams of its session.",
      ),
      integer(["max_sessions", "maxSessions"], "Sessions at once; further clients get 503.", {
        min: 1,
        max: 100_000,
      }),
      pathField(
        ["tls_cert_file", "tlsCertFile"],
        'PEM file of the certificate and its chain; "" serves plain HTTP. Read anew when it changes.',
        true,
      ),
      pathField(["tls_key_file", "tlsKeyFile"], "PEM file of the certificate's key.", true),
    ],
  },
  {
    key: "plugins",
    property: "plugins",
    doc: "JavaScript modules of the operator that see, adjust and veto pods and containers: docs/plugins.md.",
    fields: [
      pathField(
        ["dir", "dir"],
        'Folder whose `*.js`, `*.mjs` and `*.ts` files are loaded at start, in lexical order; "" loads none. It may be missing. Folder and files must belong to the daemon\'s user and be writable by nobody else.',
        true,
      ),
    ],
    tables: {
      key: "config",
      property: "config",
      noun: "plugin",
      doc: "One table for each plugin that needs one, named as its file without the ending. Further keys, of any kind, are handed to the plugin as its settings. A table without its file is a plugin that failed to load.",
      fields: operatorPluginFields,
      defaults: defaultOperatorPlugin,
      rest: "settings",
    },
  },
  {
    key: "timeouts",
    property: "timeouts",
    doc: "How long the daemon waits for others.",
    fields: [
      duration(
        ["shim_load", "shimLoadMs"],
        "A shim to start, or to answer after a restart of the daemon.",
      ),
      duration(["shim_cleanup", "shimCleanupMs"], "Cleaning up after a dead shim."),
      duration(["shim_shutdown", "shimShutdownMs"], "A shim to exit once its last task is gone."),
      duration(["task_state", "taskStateMs"], "A shim to tell the state of a task."),
      duration(["cni", "cniMs"], "One CNI operation of a pod, all plugins together."),
    ],
  },
];
