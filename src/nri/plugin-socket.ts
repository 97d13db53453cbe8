// SPDX-License-Identifier: Apache-2.0
import { createServer, type Server, type Socket } from "node:net";
import path from "node:path";
import { fault, isFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { makeFolder } from "../base/make-folder.ts";
import {
  bindPathFor,
  claimSocketPath,
  type PublishedSocket,
  publishSocket,
} from "../rpc/unix-socket.ts";
import type { PluginSet } from "./plugin-set.ts";

/** Connections at once, and those among them whose plugin does not take part yet. */
const mostConnections = 128;
const mostJoining = 64;

/** Who takes connections in. */
export type Admits = Pick<PluginSet, "admit">;

/** Where plugins connect by themselves. Each connection is handled by itself: a silent one holds back no other. */
export class PluginSocket implements AsyncDisposable {
  readonly #server: Server;
  readonly #set: Admits;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #sockets = new Set<Socket>();
  #name: PublishedSocket | undefined;
  #joining = 0;
  #isRefusing = false;

  private constructor(set: Admits, log: Logger) {
    this.#set = set;
    this.#log = log;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /**
   * Listens; only root can connect. Errors as `claimSocketPath`: ALREADY_EXISTS when somebody else listens there, whose socket
   * is left alone.
   */
  static async listen(file: string, set: Admits, log: Logger): Promise<PluginSocket> {
    await makeFolder(path.dirname(file), 0o700).catch((error: unknown) => {
      if (!isFault(error))
        throw fault("FAILED_PRECONDITION", `cannot listen on "${file}"`, { cause: error });
      throw error;
    });
    await claimSocketPath(file);
    const self = new PluginSocket(set, log);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    self.#server.once("error", reject);
    self.#server.listen(bindPathFor(file), resolve);
    await promise;
    self.#server.off("error", reject);
    self.#server.on("error", (err) => log.error({ err }, "NRI socket failed"));
    self.#name = publishSocket(file, {
      mode: 0o600,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
    });
    return self;
  }

  /** The socket with its name: another daemon may take that away. */
  get published(): PublishedSocket | undefined {
    return this.#name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(fault("UNAVAILABLE", "the daemon has stopped"));
    this.#name?.[Symbol.dispose]();
    for (const socket of this.#sockets) socket.destroy();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #accept(socket: Socket): void {
    const isFull = this.#sockets.size >= mostConnections || this.#joining >= mostJoining;
    if (isFull && !this.#isRefusing) {
      const connections = this.#sockets.size;
      this.#log.error({ connections }, "NRI connections are refused: there are too many");
    }
    this.#isRefusing = isFull;
    if (isFull) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on("error", () => {}); // "close" comes after it
    socket.on("close", () => this.#sockets.delete(socket));
    void this.#admit(socket);
  }

  async #admit(socket: Socket): Promise<void> {
    this.#joining += 1;
    try {
      await this.#set.admit(socket, { kind: "external" }, this.#stop);
    } catch (err) {
      // Who only looks whether anybody listens, as `berth doctor` does, is no plugin.
      const level = socket.bytesRead === 0 && socket.readableEnded ? "debug" : "warn";
      this.#log[level]({ err }, "NRI plugin does not come to take part");
    } finally {
      this.#joining -= 1;
    }
  }
}
