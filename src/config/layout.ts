// SPDX-License-Identifier: Apache-2.0
import path from "node:path";

/** Something that the daemon keeps in its root or its state folder. */
export interface Place extends Row {
  readonly kind: "folder" | "file" | "socket";
  /** What else is worth telling: its parts are named by the part of the daemon whose it is. */
  readonly more?: readonly Row[];
}

/** A row of the table in docs/security.md, to which `npm run docs` brings all that stands here. */
export interface Row {
  /** Relative to root or state, "" for that itself; "*" is any name. */
  readonly at: string;
  /** Who may do what, from the moment it is made. */
  readonly mode: number;
  /** What it is: a clause. */
  readonly holds: string;
}

/** Where the two folders are unless configured. */
export const usualFolders = { root: "/var/lib/berthd", state: "/run/berthd" } as const;

/** Names that users of containerd look for. */
const tasks = "io.containerd.runtime.v2.task";
const cri = "io.berth.cri";

/** Places that a reboot must not clear. */
export const inRoot = {
  root: folder("", "closed: nobody else gets at anything below"),
  database: {
    ...file("meta.db", "the database: records, with environments of containers"),
    more: [
      row("meta.db-wal", 0o600, "its log"),
      row("meta.db-reserve", 0o600, "its log's space, while no daemon runs"),
    ],
  },
  serverId: file("uuid", "the id of this installation"),
  content: {
    ...folder("content", "blobs"),
    more: [row("content/ingest", 0o700, "those that are being fetched or written")],
  },
  blobs: {
    ...folder("content/blobs", "those that are whole"),
    more: [
      row("content/blobs/sha256/*", 0o600, "one blob each, by its digest"),
      row("content/blobs/sha384/*", 0o600, "the same, of images with such digests"),
      row("content/blobs/sha512/*", 0o600, "the same"),
    ],
  },
  snapshots: folder("snapshots", "layers and writable layers"),
  overlayfs: {
    ...folder("snapshots/overlayfs", "those of the usual snapshotter"),
    more: [row("snapshots/overlayfs/snapshots/*", 0o700, "one each")],
  },
  native: folder("snapshots/native", "those of the snapshotter that copies"),
  criDurable: folder(cri, "pods' files under `/etc`, volumes of images"),
  work: folder(tasks, "working folders of OCI runtimes"),
  networks: {
    ...folder("cni", "what CNI plugins were called with; another folder may be configured"),
    more: [row("cni/*", 0o600, "one pod each")],
  },
  defaultRuntime: file("default-runtime.json", "whether crun works here, and what it can"),
  unseenCrun: {
    ...file("crun/crun", "what runs crun where that must not see the cgroup v2 tree"),
    mode: 0o700,
  },
  pause: folder("pause", "the sandbox's root file system"),
  checkpoints: folder("checkpoints", "checkpoints of tasks, while they are made and restored"),
  checkpointMounts: folder("checkpoint-mounts", "mount points for layers in checkpoints"),
  diffMounts: folder("diff", "mount points for layers that are applied or made"),
  migration: file("migration.json", "what `berth migrate` has done to this node"),
  mappedMounts: folder("mapped-mounts", "mount points for files whose owners are mapped"),
} as const satisfies Readonly<Record<string, Place>>;

/** Places that a reboot may clear. */
export const inState = {
  state: { ...folder("", "passed through to the socket and the bundles"), mode: 0o711 },
  socket: {
    kind: "socket",
    ...row("berthd.sock", 0o660, "the socket; owner, group and path are configured"),
    more: [row("berthd.sock.ttrpc", 0o600, "the shims' events")],
  },
  fifos: {
    ...folder("fifo", "the containers' streams"),
    more: [
      row("fifo/*", 0o700, "of one container"),
      row("fifo/*/journal", 0o600, "what is being written to its log, with its unfinished lines"),
    ],
  },
  netns: folder("netns", "pinned network namespaces"),
  criVolatile: folder(cri, "shared memory and image volumes of pods"),
  bundles: {
    ...folder(tasks, "passed through by roots of user namespaces, to their own bundle"),
    mode: 0o711,
    more: [
      row(`${tasks}/k8s.io/*`, 0o700, "one bundle each; 0710 with a user namespace, for its root"),
      row(`${tasks}/k8s.io/*/config.json`, 0o600, "the OCI spec, with the environment"),
    ],
  },
  runtimeTrials: folder(
    "runtime-trials",
    "a container of a trial of an OCI runtime, while it runs",
  ),
  nriPlugins: {
    ...folder("nri-plugins", "the standard inputs of the NRI plugins that the daemon starts"),
    more: [row("nri-plugins/*", 0o600, "an empty file each, by which the next daemon finds it")],
  },
  madeCgroups: file("made-cgroups", "parent cgroups that go when they are empty"),
  apparmorStamp: file("apparmor-profile", "which default AppArmor profile the kernel has"),
} as const satisfies Readonly<Record<string, Place>>;

/** The absolute path of each place. */
export type Layout = Readonly<Record<keyof typeof inRoot | keyof typeof inState, string>>;

/** Where things are. `socket` and `networks` are where they are unless configured. */
export function layoutOf({ root, state }: { root: string; state: string }): Layout {
  const below = (folder: string, places: Readonly<Record<string, Place>>) =>
    Object.entries(places).map(([name, { at }]) => [name, path.join(folder, at)] as const);
  return Object.fromEntries([...below(root, inRoot), ...below(state, inState)]) as Layout;
}

/** Folders whose folders hold what the database tells of. */
export function toldOf({ blobs, overlayfs, native }: Layout): readonly string[] {
  return [blobs, overlayfs, native];
}

function row(at: string, mode: number, holds: string): Row {
  return { at, mode, holds };
}

function folder(at: string, holds: string) {
  return { kind: "folder", ...row(at, 0o700, holds) } as const;
}

function file(at: string, holds: string) {
  return { kind: "file", ...row(at, 0o600, holds) } as const;
}
