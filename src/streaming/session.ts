// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { fault } from "../base/errors.ts";
import type { MainLink } from "./main-link.ts";
import type { OpenedProcess, SessionTarget } from "./messages.ts";
import type { SessionEnd } from "./ports.ts";
import type { ProcessControl } from "./remote-command.ts";

/** One connected client, from the upgrade of its connection to its end. */
export class Session {
  readonly id: number;
  readonly target: SessionTarget;
  readonly #transport: Duplex;
  readonly #link: MainLink;
  #activeAt = performance.now();
  #ping: (() => void) | undefined;
  #over = false;

  constructor(id: number, target: SessionTarget, transport: Duplex, link: MainLink) {
    this.id = id;
    this.target = target;
    this.#transport = transport;
    this.#link = link;
  }

  /** Notes that bytes moved. */
  readonly touch = (): void => {
    this.#activeAt = performance.now();
  };

  get idleMs(): number {
    return performance.now() - this.#activeAt;
  }

  /** What to do now and then to learn whether the client is still there. */
  set ping(ping: () => void) {
    this.#ping = ping;
  }

  probe(): void {
    this.#ping?.();
  }

  cut(): void {
    this.#transport.destroy();
  }

  /** For exec and attach. */
  processControl(): ProcessControl {
    const { promise: ended, resolve } = Promise.withResolvers<SessionEnd>();
    this.#link.onEnded(this.id, resolve);
    return {
      ended,
      open: async () =>
        (await this.#link.call(this.id, { verb: "open", target: this.target })) as OpenedProcess,
      start: async (size) => {
        await this.#link.call(this.id, { verb: "start", size });
      },
      resize: async (size) => {
        await this.#link.call(this.id, { verb: "resize", size });
      },
      closeStdin: async () => {
        await this.#link.call(this.id, { verb: "closeStdin" });
      },
    };
  }

  /** For port-forward: connects into the pod, once the host knows it. */
  dialer(): (port: number) => Promise<Socket> {
    const opened = this.#link.call(this.id, { verb: "open", target: this.target });
    opened.catch(() => {}); // every connection reports it to its client
    return async (port) => {
      await opened;
      const fd = (await this.#link.call(this.id, { verb: "dial", port })) as number;
      if (this.#over) {
        fs.closeSync(fd);
        throw fault("CANCELLED", "client is gone");
      }
      const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
      socket.setNoDelay(true);
      return socket;
    };
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.cut();
    this.#link.gone(this.id);
  }
}
