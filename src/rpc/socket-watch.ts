// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "../base/logger.ts";
import { listenerOf } from "../base/os/unix-peer.ts";
import { startInterval, type Timer } from "../base/timers.ts";
import type { PublishedSocket } from "./unix-socket.ts";

/** A socket of ours at whose path clients do not find us any more. */
export interface LostSocket {
  readonly path: string;
  /** Who listens there now, as `name (pid N)`; "" when nobody does, or it cannot be told. */
  readonly owner: string;
}

export interface SocketWatchOptions {
  readonly log: Logger;
  /** Default 10 s. */
  readonly everyMs?: number;
}

/** A daemon such as containerd takes its socket's path, whoever had it, and tells nobody. */
const defaultEveryMs = 10_000;

/**
 * Looks now and then whether the paths of our sockets still lead to us. What another daemon has taken is told, in the
 * log once, and not taken back: clients that know that daemon would meet another one. A restart of ours binds such a
 * path again once nobody listens there.
 */
export class SocketWatch implements Disposable {
  readonly #options: SocketWatchOptions;
  readonly #sources = new Set<() => Iterable<PublishedSocket>>();
  #timer: Timer | undefined;
  #isLooking = false;
  #lost: ReadonlyMap<string, LostSocket> = new Map();

  constructor(options: SocketWatchOptions) {
    this.#options = options;
  }

  /** What the last look found. */
  lost(): readonly LostSocket[] {
    return [...this.#lost.values()];
  }

  /** Has each look take in what `sockets` gives then, until the answer is disposed. */
  add(sockets: () => Iterable<PublishedSocket>): Disposable {
    this.#sources.add(sockets);
    return { [Symbol.dispose]: () => void this.#sources.delete(sockets) };
  }

  /** Looks at what has been added, until disposed. */
  start(): void {
    const look = (): void => void this.look([...this.#sources].flatMap((each) => [...each()]));
    this.#timer = startInterval(look, this.#options.everyMs ?? defaultEveryMs).unref();
  }

  /** One look; none where the one before has not come back. Does not throw. */
  async look(sockets: Iterable<PublishedSocket>): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const lost = new Map<string, LostSocket>();
      const watched = new Set<string>();
      for (const socket of sockets) {
        watched.add(socket.path);
        if (await socket.isInPlace()) continue;
        lost.set(socket.path, { path: socket.path, owner: ownerOf(socket.path) });
      }
      this.#tell(lost, watched);
      this.#lost = lost;
    } finally {
      this.#isLooking = false;
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.stop();
  }

  /** Of one that is no longer ours to watch there is nothing to tell. */
  #tell(lost: ReadonlyMap<string, LostSocket>, watched: ReadonlySet<string>): void {
    const { log } = this.#options;
    for (const { path, owner } of lost.values()) {
      if (this.#lost.get(path)?.owner === owner) continue;
      log.warn(
        { socket: path, owner },
        owner === ""
          ? "socket is gone: clients do not find us there before a restart"
          : "socket is another process's now: clients do not find us there before it has ended and we are restarted",
      );
    }
    for (const path of this.#lost.keys()) {
      if (!lost.has(path) && watched.has(path)) log.info({ socket: path }, "socket is ours again");
    }
  }
}

function ownerOf(path: string): string {
  try {
    const owner = listenerOf(path)?.process;
    return owner === undefined ? "" : `${owner.name} (pid ${owner.pid})`;
  } catch {
    return ""; // no socket, or none that we may connect to
  }
}
