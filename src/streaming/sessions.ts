// SPDX-License-Identifier: Apache-2.0

import type { Duplex } from "node:stream";
import { startInterval, type Timer } from "../base/timers.ts";
import { aborted } from "../base/waits.ts";
import type { MainLink } from "./main-link.ts";
import type { SessionTarget } from "./messages.ts";
import type { StreamingLimits } from "./ports.ts";
import type { Protocol } from "./protocols.ts";
import { runCommand } from "./remote-command.ts";
import { Session } from "./session.ts";
import { acceptSpdyCommand } from "./spdy/command.ts";
import { SpdyPortForward } from "./spdy/port-forward.ts";
import { ChannelSocket } from "./websocket/channel-socket.ts";
import { WebSocketCommandConnection } from "./websocket/command.ts";
import { forwardPorts } from "./websocket/port-forward.ts";
import { WebSocketTunnel } from "./websocket/tunnel.ts";

/** Ports one WebSocket may forward: each takes two channels, and a channel's number is one byte. */
const maxPorts = 127;

/** A connection after its upgrade, with the bytes that came right behind the request. */
export interface Upgraded {
  readonly transport: Duplex;
  readonly head: Buffer;
}

/** The sessions of all clients. Probes them, and closes those that were silent for too long. */
export class Sessions implements Disposable {
  #limits: StreamingLimits;
  readonly #link: MainLink;
  readonly #active = new Map<number, Session>();
  readonly #timer: Timer;
  #lastId = 0;

  /** A vanished client fails the second probe at the latest. */
  constructor(limits: StreamingLimits, link: MainLink, probeMs: number) {
    this.#limits = limits;
    this.#link = link;
    this.#timer = startInterval(() => this.#probe(), probeMs).unref();
  }

  /** Takes effect at once; only the time that an open session has for its streams stays. */
  limit(limits: StreamingLimits): void {
    this.#limits = limits;
  }

  get isFull(): boolean {
    return this.#active.size >= this.#limits.maxSessions;
  }

  get count(): number {
    return this.#active.size;
  }

  /** Serves a client that has upgraded to SPDY. */
  serveSpdy(target: SessionTarget, protocol: Protocol, { transport, head }: Upgraded): void {
    const session = this.#begin(target, transport);
    const { creationTimeoutMs } = this.#limits;
    const common = { transport, head, creationTimeoutMs, onActivity: session.touch };
    this.#run(session, async () => {
      if (target.kind === "port-forward") {
        const forward = new SpdyPortForward({ ...common, dial: session.dialer() });
        session.ping = () => forward.ping();
        await aborted(forward.gone);
        return;
      }
      const { version } = protocol;
      const connection = await acceptSpdyCommand({ ...common, version, selection: target });
      if (connection === undefined) return;
      session.ping = () => connection.ping();
      await runCommand(connection, session.processControl(), target);
    });
  }

  /** Serves a client that has upgraded to WebSocket. `ports` is what it asked for, for port-forward. */
  serveWebSocket(
    target: SessionTarget,
    protocol: Protocol,
    { transport, head }: Upgraded,
    ports: readonly number[],
  ): void {
    if (protocol.tunnel) {
      const tunnel = new WebSocketTunnel({ transport, head, onActivity: () => {} });
      this.serveSpdy(target, protocol, { transport: tunnel, head: Buffer.alloc(0) });
      return;
    }
    const session = this.#begin(target, transport);
    const { base64, version } = protocol;
    const channels = new ChannelSocket({
      transport,
      head,
      base64,
      halfClose: version >= 5,
      onActivity: session.touch,
    });
    session.ping = () => channels.ping();
    this.#run(session, async () => {
      if (target.kind === "port-forward") {
        const wanted = target.ports.length > 0 ? target.ports : ports;
        await forwardPorts(channels, wanted.slice(0, maxPorts), session.dialer());
        return;
      }
      const connection = new WebSocketCommandConnection(channels, version, target);
      await runCommand(connection, session.processControl(), target);
    });
  }

  /** Cuts everybody off. */
  [Symbol.dispose](): void {
    this.#timer.stop();
    for (const session of this.#active.values()) session.cut();
  }

  #begin(target: SessionTarget, transport: Duplex): Session {
    this.#lastId += 1;
    const session = new Session(this.#lastId, target, transport, this.#link);
    this.#active.set(session.id, session);
    return session;
  }

  /** Owns the session's work: whatever happens to it, the session is over afterwards. */
  #run(session: Session, work: () => Promise<void>): void {
    const over = (): void => {
      this.#active.delete(session.id);
      session.end();
    };
    work().then(over, (err: unknown) => {
      this.#link.log("warn", { err, kind: session.target.kind }, "streaming session failed");
      over();
    });
  }

  #probe(): void {
    const { idleTimeoutMs } = this.#limits;
    for (const session of this.#active.values()) {
      if (idleTimeoutMs > 0 && session.idleMs > idleTimeoutMs) session.cut();
      else session.probe();
    }
  }
}
