// SPDX-License-Identifier: Apache-2.0
import http from "node:http";
import https from "node:https";
import net from "node:net";
import type { Duplex } from "node:stream";
import tls, { type SecureContext } from "node:tls";
import { onAbort } from "../../base/on-abort.ts";
import { startTimer } from "../../base/timers.ts";
import { isPassingStatus, passing } from "./patience.ts";
import type { Proxy } from "./proxies.ts";
import { registryFault } from "./registry-fault.ts";
import { type SocksTarget, throughSocks } from "./socks.ts";

export interface ProxyAgentOptions {
  readonly proxy: Proxy;
  /** What a proxy that is spoken to over TLS is checked with. */
  readonly context: SecureContext | undefined;
  /** For the way to the server behind it, to the end of TLS with that. */
  readonly connectMs: number;
}

type Connected = (error: Error | null, stream: Duplex) => void;
type Failed = (error: unknown) => void;

/** Connections for https through a proxy: each is a tunnel, in which TLS is spoken with the server itself. */
export class TunnelAgent extends https.Agent {
  readonly #tunnels: Tunnels;

  constructor(options: https.AgentOptions, through: ProxyAgentOptions) {
    super(options);
    this.#tunnels = new Tunnels(through);
  }

  override createConnection(options: https.RequestOptions, callback?: Connected): undefined {
    const secure = async (socket: Duplex, signal: AbortSignal): Promise<Duplex> => {
      const all = { ...options, socket } as https.RequestOptions;
      const secured = super.createConnection(all) as tls.TLSSocket;
      await settled(secured, "secureConnect", signal);
      return secured;
    };
    const target = { host: String(options.host), port: Number(options.port ?? 443) };
    void this.#tunnels
      .open(target, secure)
      .then((socket) => callback?.(null, socket), callback as Failed | undefined);
    return undefined;
  }

  /** Tunnels that are being made end too. */
  override destroy(): void {
    this.#tunnels.end();
    super.destroy();
  }
}

/** Connections for http through a SOCKS proxy: each is a tunnel, too. */
export class SocksAgent extends http.Agent {
  readonly #tunnels: Tunnels;

  constructor(through: ProxyAgentOptions) {
    super({ keepAlive: true });
    this.#tunnels = new Tunnels(through);
  }

  override createConnection(options: http.RequestOptions, callback?: Connected): undefined {
    const target = { host: String(options.host), port: Number(options.port ?? 80) };
    void this.#tunnels
      .open(target, (socket) => Promise.resolve(socket))
      .then((socket) => callback?.(null, socket), callback as Failed | undefined);
    return undefined;
  }

  override destroy(): void {
    this.#tunnels.end();
    super.destroy();
  }
}

/** Makes tunnels through a proxy. */
class Tunnels {
  readonly #options: ProxyAgentOptions;
  readonly #end = new AbortController();

  constructor(options: ProxyAgentOptions) {
    this.#options = options;
  }

  end(): void {
    this.#end.abort();
  }

  /** One to the target, once `next` has made of it what is wanted. */
  async open(
    target: SocksTarget,
    next: (socket: Duplex, signal: AbortSignal) => Promise<Duplex>,
  ): Promise<Duplex> {
    const late = new AbortController();
    using _timer = startTimer(() => late.abort(), this.#options.connectMs);
    const signal = AbortSignal.any([late.signal, this.#end.signal]);
    const make = this.#options.proxy.isSocks ? socksTunnel : tunnel;
    try {
      return await next(await make(this.#options, target, signal), signal);
    } catch (error) {
      throw late.signal.aborted ? registryFault("connect timed out") : error;
    }
  }
}

async function socksTunnel(
  options: ProxyAgentOptions,
  target: SocksTarget,
  signal: AbortSignal,
): Promise<Duplex> {
  const socket = toProxy(options);
  try {
    await throughSocks(socket, target, options.proxy.login, signal);
    return socket;
  } catch (error) {
    socket.on("error", () => {}).destroy(); // what came first is told
    throw error;
  }
}

/** Connections to a proxy that asks for http itself: requests name the whole URL. */
export class ForwardAgent extends http.Agent {
  readonly #options: ProxyAgentOptions;

  constructor(through: ProxyAgentOptions) {
    super({ keepAlive: true });
    this.#options = through;
  }

  override createConnection(): net.Socket {
    return toProxy(this.#options);
  }
}

function toProxy({ proxy: { host, port, isTls }, context }: ProxyAgentOptions): net.Socket {
  if (!isTls) return net.connect({ host, port });
  const named = net.isIP(host) === 0 && { servername: host };
  return tls.connect({ host, port, ...named, ...(context && { secureContext: context }) });
}

/** A stream to the target through the proxy (CONNECT). UNAVAILABLE with the proxy's status when it refuses. */
async function tunnel(
  options: ProxyAgentOptions,
  { host, port }: SocksTarget,
  signal: AbortSignal,
): Promise<Duplex> {
  const authority = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  const { authorization } = options.proxy;
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const request = http.request({
    method: "CONNECT",
    path: authority,
    headers: {
      host: authority,
      "user-agent": "berthd",
      ...(authorization && { "proxy-authorization": authorization }),
    },
    setHost: false,
    signal,
    createConnection: () => toProxy(options),
  });
  request.on("error", reject);
  request.on("connect", ({ statusCode = 0 }, socket, head) => {
    if (statusCode >= 200 && statusCode < 300) {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
      return;
    }
    socket.destroy();
    reject(refused(statusCode));
  });
  request.end();
  return promise;
}

/** Why a proxy makes no tunnel, or asks for nothing. */
export function refused(status: number): Error {
  const why =
    status === 407
      ? "it wants a login, or another one (status 407)"
      : status >= 500
        ? `it cannot reach that (status ${status})`
        : `it does not let us through (status ${status})`;
  return registryFault(why, isPassingStatus(status) ? { details: passing() } : {});
}

async function settled(socket: Duplex, event: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once(event, resolve);
  socket.once("error", reject);
  socket.once("close", () => reject(registryFault("it closed the connection")));
  using _reaction = onAbort(signal, (reason) => void socket.destroy(reason));
  try {
    await promise;
  } finally {
    socket.removeListener("error", reject);
  }
}
