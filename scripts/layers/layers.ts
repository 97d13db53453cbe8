// SPDX-License-Identifier: Apache-2.0

/** A folder of `src`: what belongs in it, and whom it may know. */
export interface Layer {
  readonly folder: string;
  /** One sentence for docs/architecture.md, which `npm run docs` writes from this table. */
  readonly holds: string;
  /** Folders of `src` that it may import, besides `base` and `gen`. All of them stand further down. */
  readonly may: readonly string[];
}

/**
 * From top to bottom. `npm run check` refuses what is not allowed here, and cycles of folders at any depth.
 * The modules right in `src` start the daemon: they may import everything, and only `cli` may import them.
 */
export const layers: readonly Layer[] = [
  {
    folder: "cli",
    holds:
      "`berthd` and `berth`: argv → one function each; `berth/` what containerd's services and the daemon tell, `streaming/` exec, attach, cp, logs, port-forward",
    may: [
      "client",
      "config",
      "content",
      "doctor",
      "events",
      "images",
      "kube",
      "log",
      "metadata",
      "migration",
      "oci",
      "rpc",
      "streaming",
      "trees",
    ],
  },
  {
    folder: "migration",
    holds:
      "`berth migrate`: what runs the kubelet here and which of its settings name the runtime, the steps to Berth and back, and the journal by which they are taken up again",
    may: ["cri", "doctor", "kube", "rpc"],
  },
  {
    folder: "doctor",
    holds:
      "`berth doctor` and `berth support`: `checks/` one file for each thing that is looked at, `facts/` what several of them ask for, `leftovers/`, `support/` the archive for bug reports; how they are run, and what they may say",
    may: [
      "config",
      "cri",
      "images",
      "kube",
      "metadata",
      "network",
      "nri",
      "oci",
      "pause",
      "plugin",
      "rpc",
      "runtime",
      "snapshots",
      "trees",
    ],
  },
  {
    folder: "wiring",
    holds:
      "with `builtins.ts` and `daemon.ts` the composition root: what is made of what, the list of plugins, start and stop",
    may: [
      "client",
      "config",
      "content",
      "cri",
      "diff",
      "events",
      "garbage",
      "images",
      "kube",
      "logs",
      "metadata",
      "metrics",
      "network",
      "nri",
      "oci",
      "pause",
      "plugin",
      "rpc",
      "runtime",
      "services",
      "snapshots",
      "streaming",
      "tasks",
      "trees",
    ],
  },
  {
    folder: "cri",
    holds:
      "the façade: one file an RPC in `runtime-service/` and `image-service/`; `oci-spec/` CRI config → OCI spec; `store/` records and their states; `live/` what is held of those that run; `handlers/` runtime handlers: what they can, what is known of their programs, and which one is the default; `task/` how tasks end; `recovery/`; `streaming/` sessions; `events/`, `stats/`, `checkpoint/`; `lifecycle/` operations: stages, time, undo, joining",
    may: [
      "checkpoint",
      "client",
      "config",
      "events",
      "images",
      "logs",
      "metadata",
      "metrics",
      "network",
      "nri",
      "oci",
      "rpc",
      "snapshots",
      "streaming",
      "trees",
    ],
  },
  {
    folder: "services",
    holds:
      "containerd's services but Tasks, and Berth's own three, one file each: containers, namespaces, events, images, content, snapshots, diff, leases, introspection, version, health",
    may: [
      "content",
      "diff",
      "events",
      "garbage",
      "images",
      "metadata",
      "plugin",
      "rpc",
      "snapshots",
    ],
  },
  {
    folder: "tasks",
    holds: "containerd's Tasks service, one file a method or two, free of transport",
    may: ["checkpoint", "content", "metadata", "rpc", "runtime", "trees"],
  },
  {
    folder: "checkpoint",
    holds: "the archive of a checkpoint, packed and unpacked",
    may: ["images"],
  },
  {
    folder: "diff",
    holds:
      "layers onto mounts, and the difference of two mounts as a layer, each in a chrooted child; writable layers as archives",
    may: ["content", "images", "metadata", "snapshots", "trees"],
  },
  {
    folder: "images",
    holds:
      "references, `registry/`, `archive/`, `manifest/`, `tar/`, layers onto snapshots in `unpack/`, pushes in `push/`, and how far all that is in `progress/`",
    may: ["config", "content", "garbage", "metadata", "snapshots", "trees"],
  },
  {
    folder: "garbage",
    holds: "what leads to what, by containerd's labels; mark and sweep, one namespace at a time",
    may: ["content", "metadata", "snapshots"],
  },
  {
    folder: "content",
    holds: "blobs by digest",
    may: ["metadata"],
  },
  {
    folder: "snapshots",
    holds: "overlayfs and native layers",
    may: ["metadata", "trees"],
  },
  {
    folder: "metadata",
    holds:
      "records on node:sqlite, written by a thread, mirrored in memory: lists never touch the disk; leases",
    may: ["rpc"],
  },
  {
    folder: "runtime",
    holds:
      "the port and its two implementations, chosen from by the runtime's name: the manager of tasks on shims, and `sandbox/`, sandbox processes without one; `task/` one task on a shim; `bundle/` a bundle and the spec in it; `shim/` find the program, start it (directly or by its helper), connect, clean up; `events/` what shims and exits tell; `death/` recovery, and what is left of tasks that are gone; `trial/` whether an OCI runtime works here; `systemd/` scopes that systemd makes, over D-Bus",
    may: ["metrics", "oci", "rpc", "trees", "ttrpc"],
  },
  {
    folder: "logs",
    holds: "containers' logs: the thread that writes them, attached clients' taps, FIFO holders",
    may: ["client"],
  },
  {
    folder: "client",
    holds: "Container, Task and Process, their I/O, and the asynchronous wait",
    may: ["oci", "rpc"],
  },
  {
    folder: "plugin",
    holds:
      "the registry of what the daemon is made of: `{ type, id, requires, init }`, started in topological order; `operator/`: the operator's JavaScript plugins, their API and threads",
    may: ["events", "oci"],
  },
  {
    folder: "oci",
    holds:
      "the OCI runtime spec and what both pods and `berth run` build it from: base spec, default mounts, capabilities, users; `rootfs/` reading in an image's file system; known flaws of OCI runtimes",
    may: ["trees"],
  },
  {
    folder: "kube",
    holds:
      "what a cluster is told that no kubelet tells: Events on pods, and a condition on the node; `api/` the Kubernetes client with its bounds, loaded in a thread of its own and by the doctor",
    may: ["events"],
  },
  {
    folder: "events",
    holds:
      "publish, forward, subscribe with filters; every subscriber has a bounded queue; what befalls pods and no kubelet learns of",
    may: ["rpc"],
  },
  {
    folder: "nri",
    holds:
      "the Node Resource Interface: plugins connect or are started, are synchronized, and are asked in turn; `merge/` their answers become one",
    may: ["rpc", "ttrpc"],
  },
  {
    folder: "ttrpc",
    holds: "the shims' protocol: frames, client, server",
    may: ["rpc"],
  },
  {
    folder: "rpc",
    holds:
      "codecs, the gRPC server and client on unix sockets, the in-process client; `light/` the client of `berth`, which is there at once, on our own HTTP/2 in `http2/`; `status.ts` alone turns faults into gRPC status",
    may: [],
  },
  {
    folder: "streaming",
    holds:
      "the server behind the URLs of exec, attach and port-forward: tokens, HTTP, SPDY/3.1 and WebSocket",
    may: ["config"],
  },
  {
    folder: "network",
    holds:
      "CNI: configuration folder, plugins, results, network namespaces; connections to a pod's loopback",
    may: ["config"],
  },
  {
    folder: "trees",
    holds:
      "jobs on trees that a tenant, an image or a registry made (remove, measure, copy, look through), in pieces, by descriptors, each in a thread at a low priority",
    may: [],
  },
  {
    folder: "metrics",
    holds: "cgroup readers, metric definitions, the HTTP endpoint",
    may: [],
  },
  { folder: "log", holds: "pino", may: ["config"] },
  { folder: "config", holds: "the TOML configuration", may: [] },
  {
    folder: "pause",
    holds: "the sandbox's first process, in C without a libc, and its root file system",
    may: [],
  },
  {
    folder: "base",
    holds:
      "no domain words: errors, cancellation, mutexes, retry, bounded queues, atomic files; `os/` the system calls that Node lacks; `process.ts` the one module that starts programs",
    may: [],
  },
  { folder: "gen", holds: "descriptors and types made from `proto/` by `npm run gen`", may: [] },
];

/** Where a library may be imported: with what it is for. */
export const libraries: Readonly<Record<string, readonly string[]>> = {
  "@grpc/grpc-js": ["src/rpc"],
  protobufjs: ["src/rpc", "src/ttrpc", "src/gen"],
  "prom-client": ["src/metrics"],
  pino: ["src/log"],
  "pino-pretty": ["src/log"],
  koffi: ["src/base/os"],
  commander: ["src/cli"],
  ws: ["src/cli"],
  yaml: ["src/cri/oci-spec"],
  "smol-toml": ["src/config", "src/cri", "src/doctor", "src/images/registry"],
};
