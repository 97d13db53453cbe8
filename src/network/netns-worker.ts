// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { parentPort } from "node:worker_threads";
import { errnoOf } from "../base/errors.ts";
import { linkUp } from "../base/os/link-up.ts";
import { mount, unmount } from "../base/os/mount.ts";
import { MountFlag } from "../base/os/mount-options.ts";
import { enterNamespace, NamespaceFlag, unshare } from "../base/os/namespace.ts";
import { type AddressFamily, openTcpSocket } from "../base/os/tcp-socket.ts";
import { userNamespaceSuffix } from "./ports.ts";

/**
 * Entry of the thread that makes and removes network namespaces. A namespace is entered by a thread,
 * so this must be one that does nothing else, and nothing here may wait: between `unshare` and the
 * way back, no other code may run on it.
 */
export interface NetnsRequest {
  readonly sequence: number;
  readonly kind: "prepare" | "create" | "pin" | "remove" | "tcp4" | "tcp6";
  /** The folder for `prepare`, else the file of the namespace. */
  readonly path: string;
  /** For `pin`: whose network namespace it becomes; beside it, the user namespace that owns it. */
  readonly pid?: number;
}

export interface NetnsAnswer {
  readonly sequence: number;
  /** The socket of `tcp4` and `tcp6`: not connected, non-blocking; whoever asked owns it. */
  readonly descriptor?: number;
  /** errno name and text of a failure. */
  readonly failure?: { readonly errno: string; readonly message: string };
}

const noMount = { source: "none", type: "", data: "" } as const;

/**
 * Makes the folder a shared mount of our own. Otherwise the first `ip netns add` of anyone on a host
 * with private mounts binds a folder over itself and strands the namespaces pinned below it.
 */
function prepare(folder: string): void {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!isMountPoint(folder)) {
    mount({ ...noMount, source: folder, target: folder, flags: MountFlag.bind });
    // Where the parent is shared, the bind joined its peers, and would show each namespace twice.
    mount({ ...noMount, target: folder, flags: MountFlag.private });
  }
  mount({ ...noMount, target: folder, flags: MountFlag.shared });
}

function isMountPoint(folder: string): boolean {
  // mountinfo writes blanks and backslashes as octal.
  const escaped = folder.replaceAll(
    /[\\ \t\n]/g,
    (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
  const lines = fs.readFileSync("/proc/thread-self/mountinfo", "utf8").split("\n");
  return lines.some((line) => line.split(" ")[4] === escaped);
}

function create(file: string): void {
  makeFile(file);
  try {
    const home = fs.openSync("/proc/thread-self/ns/net", fs.constants.O_RDONLY);
    try {
      unshare(NamespaceFlag.net);
      try {
        linkUp("lo");
        pinAt(file, "/proc/thread-self/ns/net");
      } finally {
        goHome(home);
      }
    } finally {
      fs.closeSync(home);
    }
  } catch (error) {
    fs.rmSync(file, { force: true });
    throw error;
  }
}

/** Pins what a process has made: only a process can be in a user namespace of its own. */
function pin(file: string, pid: number): void {
  const user = `${file}${userNamespaceSuffix}`;
  makeFile(file);
  try {
    inside(`/proc/${pid}/ns/net`, () => linkUp("lo"));
    pinAt(file, `/proc/${pid}/ns/net`);
    makeFile(user);
    pinAt(user, `/proc/${pid}/ns/user`);
  } catch (error) {
    remove(file);
    throw error;
  }
}

function makeFile(file: string): void {
  const { O_WRONLY, O_CREAT, O_EXCL } = fs.constants;
  fs.closeSync(fs.openSync(file, O_WRONLY | O_CREAT | O_EXCL, 0o444));
}

function pinAt(file: string, namespace: string): void {
  mount({ ...noMount, source: namespace, target: file, flags: MountFlag.bind });
}

function goHome(home: number): void {
  try {
    enterNamespace(home, NamespaceFlag.net);
  } catch {
    // This thread would make the next pod's namespace a child of this one's and the daemon's sockets
    // unreachable: worse than a restart, which pods survive.
    process.abort();
  }
}

function remove(file: string): void {
  for (const each of [`${file}${userNamespaceSuffix}`, file]) {
    // Lazily, since a process may still have it open; more than once, since a crash may have stacked mounts.
    while (unmount(each, { lazy: true }));
    fs.rmSync(each, { force: true });
  }
}

/** A socket belongs to the namespace it was made in, whichever thread uses it then. */
function tcpSocket(file: string, family: AddressFamily): number {
  return inside(file, () => openTcpSocket(family));
}

function inside<T>(file: string, work: () => T): T {
  const namespace = fs.openSync(file, fs.constants.O_RDONLY);
  try {
    const home = fs.openSync("/proc/thread-self/ns/net", fs.constants.O_RDONLY);
    try {
      enterNamespace(namespace, NamespaceFlag.net);
      try {
        return work();
      } finally {
        goHome(home);
      }
    } finally {
      fs.closeSync(home);
    }
  } finally {
    fs.closeSync(namespace);
  }
}

const actions: Record<NetnsRequest["kind"], (path: string, pid: number) => number | void> = {
  prepare,
  create,
  pin,
  remove,
  tcp4: (file) => tcpSocket(file, "ipv4"),
  tcp6: (file) => tcpSocket(file, "ipv6"),
};

const port = parentPort;
port?.on("message", ({ kind, path, pid = 0, sequence }: NetnsRequest) => {
  let answer: NetnsAnswer = { sequence };
  try {
    const descriptor = actions[kind](path, pid);
    if (descriptor !== undefined) answer = { sequence, descriptor };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    answer = { sequence, failure: { errno: errnoOf(error) ?? "UNKNOWN", message } };
  }
  port.postMessage(answer);
});
