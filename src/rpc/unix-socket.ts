// SPDX-License-Identifier: Apache-2.0
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  renameSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { lstat } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { errnoOf, fault } from "../base/errors.ts";
import { listenerOf } from "../base/os/unix-peer.ts";

/** sockaddr_un holds 108 bytes, the terminating zero among them. */
const maxPathBytes = 107;
const suffix = ".~";

export interface SocketAccess {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Makes sure that a server can have the socket `file`, and the path where it is bound first: the folder
 * exists and nobody listens there. A socket that a killed daemon left is removed. ALREADY_EXISTS when it is in use,
 * FAILED_PRECONDITION when something else lies there, INVALID_ARGUMENT when the path is too long.
 */
export async function claimSocketPath(file: string): Promise<void> {
  if (Buffer.byteLength(file) + suffix.length > maxPathBytes) {
    throw fault(
      "INVALID_ARGUMENT",
      `cannot listen on "${file}": path is longer than a socket's may be`,
    );
  }
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o711 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST" && errnoOf(error) !== "ENOTDIR") throw error;
    throw fault("FAILED_PRECONDITION", `cannot listen on "${file}": a part of it is no folder`);
  }
  await claim(file);
  await claim(bindPathFor(file)); // a daemon that was killed between its bind and its rename
}

async function claim(file: string): Promise<void> {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  if (!stats) return;
  if (!stats.isSocket()) {
    throw fault("FAILED_PRECONDITION", refusals.noSocket(file));
  }
  if (await isAnswering(file)) throw fault("ALREADY_EXISTS", refusals.inUse(file));
  unlinkSync(file);
}

/** Why a server cannot have a path. */
export const refusals = {
  noSocket: (file: string): string => `cannot listen on "${file}": it exists and is no socket`,
  inUse: (file: string): string => {
    const owner = listenerOf(file)?.process;
    const who = owner === undefined ? "" : `: ${owner.name} (pid ${owner.pid})`;
    return `cannot listen on "${file}": another process is listening there${who}`;
  },
};

/** The path to bind at first; `publishSocket` moves it in place once it has its rights. */
export function bindPathFor(file: string): string {
  return file + suffix;
}

/** A socket with its name. Disposing takes the name away again, without errors; libuv only unlinks the path it bound. */
export interface PublishedSocket extends Disposable {
  readonly path: string;
  /** Whether the name still leads to this socket. False, too, where that cannot be told. */
  isInPlace(): Promise<boolean>;
}

/**
 * Gives the bound socket its owner and mode, then its name, so that no client ever meets it with
 * other rights.
 */
export function publishSocket(file: string, access: SocketAccess): PublishedSocket {
  const bound = bindPathFor(file);
  chownSync(bound, access.uid, access.gid);
  chmodSync(bound, access.mode);
  renameSync(bound, file);
  const { ino, dev } = lstatSync(file);
  const isThis = (now: Stats): boolean => now.ino === ino && now.dev === dev;
  return {
    path: file,
    isInPlace: () => lstat(file).then(isThis, () => false),
    [Symbol.dispose]: () => {
      try {
        if (isThis(lstatSync(file))) unlinkSync(file);
      } catch {
        // It is gone, or it stays, and whoever listens there next takes it away.
      }
    },
  };
}

function isAnswering(file: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path: file });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      const errno = errnoOf(error);
      // EAGAIN: the backlog of a live listener is full.
      if (errno === "EAGAIN") resolve(true);
      else if (errno === "ECONNREFUSED" || errno === "ENOENT") resolve(false);
      else reject(error);
    });
  });
}
