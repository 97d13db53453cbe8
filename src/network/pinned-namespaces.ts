// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { readdir, rm, statfs } from "node:fs/promises";
import path from "node:path";
import type { Worker } from "node:worker_threads";
import type { Cancellable } from "../base/cancellable.ts";
import { codeOfErrno, errnoOf, fault, isFault, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import type { IdMappings } from "../base/os/id-mapping.ts";
import { unmount } from "../base/os/mount.ts";
import type { AddressFamily } from "../base/os/tcp-socket.ts";
import { holdUserNamespace } from "../base/os/user-namespace.ts";
import { endThread, startThread } from "../base/threads/thread.ts";
import type { NetnsAnswer, NetnsRequest } from "./netns-worker.ts";
import { type NetworkNamespaces, userNamespaceSuffix } from "./ports.ts";

/** What statfs(2) calls the file system of namespace files. */
const namespaceFileSystem = 0x6e736673;

export interface NetworkNamespacesOptions {
  /** Absolute; made when missing. */
  readonly folder: string;
  /** The pause program; holds a user namespace while it is being made. */
  readonly program: string;
  readonly log: Logger;
}

const purposes: Readonly<Record<NetnsRequest["kind"], string>> = {
  prepare: "prepare folder for network namespaces",
  create: "create network namespace",
  pin: "pin network namespace",
  remove: "remove network namespace",
  tcp4: "open IPv4 socket in network namespace",
  tcp6: "open IPv6 socket in network namespace",
};

interface Waiting {
  readonly resolve: (descriptor: number) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Network namespaces, each pinned by a mount on a file of one folder. A worker thread makes and removes them, which
 * starts with the first use. Disposing ends it and leaves all namespaces as they are; an empty folder is unmounted.
 */
export class PinnedNamespaces implements NetworkNamespaces, AsyncDisposable {
  readonly #folder: string;
  readonly #program: string;
  readonly #log: Logger;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #prepared: Promise<void> | undefined;
  #sequence = 0;
  #isClosed = false;

  constructor({ folder, log, program }: NetworkNamespacesOptions) {
    this.#folder = folder;
    this.#program = program;
    this.#log = log;
  }

  /** Prepares the folder, once; again after a failure. */
  #prepare(): Promise<void> {
    this.#prepared ??= this.#request("prepare", this.#folder).then(
      () => {},
      (error: unknown) => {
        this.#prepared = undefined;
        throw error;
      },
    );
    return this.#prepared;
  }

  async create(id: string, { signal }: Cancellable, owner?: IdMappings): Promise<string> {
    signal.throwIfAborted();
    if (!/^[\w.-]+$/.test(id) || id.startsWith(".") || id.endsWith(userNamespaceSuffix)) {
      throw fault("INVALID_ARGUMENT", `network namespace id "${id}" is no file name`);
    }
    const file = path.join(this.#folder, id);
    await this.#prepare();
    if (owner === undefined) await this.#request("create", file);
    else await this.#createOwned(file, owner);
    // It took milliseconds at most. The signal may have fired meanwhile, and nobody would remove it then.
    if (signal.aborted) {
      await this.#request("remove", file);
      signal.throwIfAborted();
    }
    return file;
  }

  /** A namespace belongs to the user namespace it is made in. */
  async #createOwned(file: string, { uids, gids }: IdMappings): Promise<void> {
    const program = this.#program;
    await using held = await holdUserNamespace({ program, uids, gids, network: true });
    await this.#request("pin", file, held.pid);
  }

  async remove(file: string, { signal }: Cancellable): Promise<void> {
    signal.throwIfAborted();
    if (file === "") return;
    await this.#request("remove", file);
  }

  async isAlive(file: string): Promise<boolean> {
    try {
      return (await statfs(file)).type === namespaceFileSystem;
    } catch {
      return false;
    }
  }

  async openTcpSocket(
    file: string,
    family: AddressFamily,
    { signal }: Cancellable,
  ): Promise<number> {
    signal.throwIfAborted();
    const descriptor = await this.#request(family === "ipv4" ? "tcp4" : "tcp6", file);
    if (!signal.aborted) return descriptor;
    closeSync(descriptor);
    throw signal.reason as Error;
  }

  /** The pinned files there are, living or not: for recovery and for finding leaks. */
  async list(): Promise<readonly string[]> {
    try {
      const names = await readdir(this.#folder);
      const ids = names.map((name) =>
        name.endsWith(userNamespaceSuffix) ? name.slice(0, -userNamespaceSuffix.length) : name,
      );
      return [...new Set(ids)].sort().map((id) => path.join(this.#folder, id));
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
  }

  /**
   * Removes all namespaces, the folder's mount and the folder. For tests and for uninstalling: a daemon that stops
   * leaves pods their network.
   */
  async removeAll(call: Cancellable): Promise<void> {
    for (const file of await this.list()) await this.remove(file, call);
    while (unmount(this.#folder, { lazy: true }));
    this.#prepared = undefined;
    await rm(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker) await endThread(worker);
    // Pods keep their network. Without any, the folder's mount would only be a leftover.
    if ((await this.list()).length === 0) while (unmount(this.#folder, { lazy: true }));
  }

  async #request(kind: NetnsRequest["kind"], file: string, pid = 0): Promise<number> {
    const worker = this.#running();
    this.#sequence += 1;
    const request: NetnsRequest = { sequence: this.#sequence, kind, path: file, pid };
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#waiting.set(request.sequence, { resolve, reject });
    worker.postMessage(request, []);
    return promise.catch((cause: unknown) => {
      if (isFault(cause)) throw cause;
      const errno = errnoOf(cause) ?? "UNKNOWN";
      const code = errno === "EEXIST" ? "ALREADY_EXISTS" : codeOfErrno(errno);
      throw fault(code, `cannot ${purposes[kind]} "${file}": ${errno}`, { cause });
    });
  }

  /** UNAVAILABLE once it is closed, and where no thread can be started. */
  #running(): Worker {
    if (this.#isClosed) throw fault("UNAVAILABLE", "berthd is stopping");
    try {
      return (this.#worker ??= this.#spawn());
    } catch (cause) {
      const { message } = toFault(cause);
      const what = "cannot start a thread for network namespaces";
      throw fault("UNAVAILABLE", `${what}: ${message}`, { cause });
    }
  }

  #spawn(): Worker {
    const worker = startThread(new URL("./netns-worker.ts", import.meta.url), {
      name: "berth-netns",
      execArgv: [],
      // The thread closes what it opens itself, also through the C library, which tracking does not see.
      trackUnmanagedFds: false,
      heapMiB: ourShares().treeHeapMiB,
    });
    worker.on("message", (answer: NetnsAnswer) => this.#receive(answer));
    worker.on("error", (err) => this.#log.error({ err }, "network namespace worker failed"));
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = undefined; // the next request starts another
      for (const { reject } of this.#waiting.values()) {
        reject(fault("UNAVAILABLE", "network namespace worker ended before it answered"));
      }
      this.#waiting.clear();
    });
    return worker;
  }

  #receive({ descriptor = -1, failure, sequence }: NetnsAnswer): void {
    const waiting = this.#waiting.get(sequence);
    this.#waiting.delete(sequence);
    if (failure === undefined) {
      waiting?.resolve(descriptor);
      return;
    }
    waiting?.reject(Object.assign(new Error(failure.message), { code: failure.errno }));
  }
}
