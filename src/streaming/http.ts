// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { errnoOf, fault } from "../base/errors.ts";
import { shortened } from "../base/shortened.ts";
import type { StreamingConfig } from "../config/config.ts";
import { readCertificate, watchCertificate } from "./certificate.ts";
import type { MainLink } from "./main-link.ts";
import type { SessionTarget } from "./messages.ts";
import {
  chooseProtocol,
  listedNames,
  type Protocol,
  protocolsOf,
  unnamedProtocol,
} from "./protocols.ts";
import { plainText, type Refusal, refuse } from "./refusal.ts";
import type { Sessions } from "./sessions.ts";
import type { Tokens } from "./tokens.ts";
import { faultOfHandshake, handshakeAnswer } from "./websocket/handshake.ts";

/** How long a client may take to send its request. */
const requestTimeoutMs = 10_000;
const largestRequest = 16 * 1024;
/** Connections allowed beyond the sessions, for clients that are still sending their request. */
const spareConnections = 256;

export interface StreamingHttpOptions {
  readonly config: StreamingConfig;
  readonly tokens: Tokens<SessionTarget>;
  readonly sessions: Sessions;
  readonly link: MainLink;
}

const kinds: Readonly<Record<string, SessionTarget["kind"]>> = {
  exec: "exec",
  attach: "attach",
  portforward: "port-forward",
};

/** The path of the URL under which a target is served. */
export function pathOf(kind: SessionTarget["kind"], token: string): string {
  return `/${kind === "port-forward" ? "portforward" : kind}/${token}`;
}

/**
 * The HTTP side: checks a request and its token, agrees on a protocol, and hands the connection to the sessions. Only
 * the upgrade uses the token up: a client whose protocol was refused may come back with another.
 */
export class StreamingHttp implements AsyncDisposable {
  readonly #options: StreamingHttpOptions;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  #watch: Disposable | undefined;

  constructor(options: StreamingHttpOptions) {
    this.#options = options;
    this.#server = this.#createServer();
    this.limit(options.config);
    this.#server.on("connection", (socket: Socket) => {
      this.#connections.add(socket);
      socket.once("close", () => this.#connections.delete(socket));
    });
    this.#server.on("request", (request, response) => {
      const { status, message, headers } = this.#refusalWithoutUpgrade(request);
      response.writeHead(status, { ...plainText, ...headers, connection: "close" });
      response.end(`${message}\n`);
    });
    this.#server.on("upgrade", (request, transport, head) => {
      transport.on("error", () => {}); // "close" follows
      const refusal = this.#upgrade(request, transport, head);
      if (refusal !== undefined) refuse(transport, refusal);
    });
  }

  limit({ maxSessions }: Pick<StreamingConfig, "maxSessions">): void {
    this.#server.maxConnections = maxSessions + spareConnections;
  }

  /** Serves a connection that somebody else has accepted. */
  accept(transport: Duplex): void {
    this.#server.emit("connection", transport);
  }

  /** Answers `host:port` as bound. ALREADY_EXISTS when it is taken, INVALID_ARGUMENT for a bad one. */
  async listen(address: string): Promise<string> {
    const { host, port } = parseAddress(address);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen({ host, port }, resolve);
    try {
      await promise;
    } catch (error) {
      const code = errnoOf(error) === "EADDRINUSE" ? "ALREADY_EXISTS" : "INVALID_ARGUMENT";
      throw fault(code, `streaming address "${address}": ${errnoOf(error) ?? String(error)}`, {
        cause: error,
      });
    }
    const bound = this.#server.address() as AddressInfo;
    return bound.family === "IPv6"
      ? `[${bound.address}]:${bound.port}`
      : `${bound.address}:${bound.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#connections) socket.destroy();
    await promise;
  }

  #createServer(): Server {
    const { config, link } = this.#options;
    const limits = {
      maxHeaderSize: largestRequest,
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: requestTimeoutMs,
      connectionsCheckingInterval: 2000,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    };
    if (config.tlsCertFile === "") return createServer(limits);
    const files = { certFile: config.tlsCertFile, keyFile: config.tlsKeyFile };
    const server = createTlsServer({
      ...limits,
      ...readCertificate(files),
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: requestTimeoutMs,
    });
    this.#watch = watchCertificate(files, {
      onChange: (certificate) => {
        server.setSecureContext({ ...certificate, minVersion: "TLSv1.2" });
        link.log("info", files, "streaming certificate loaded anew");
      },
      onError: (err) => link.log("warn", { err, ...files }, "streaming certificate is unusable"),
    });
    return server;
  }

  /** The target behind a request's path, if its token is good and its method may be used. */
  #find(
    request: IncomingMessage,
  ): { readonly target: SessionTarget; readonly token: string } | Refusal {
    const [, name, token] = /^\/([a-z]+)\/([\w-]+)$/.exec(pathname(request)) ?? [];
    const kind = kinds[name ?? ""];
    if (kind === undefined || token === undefined) {
      return { status: 404, message: "page not found" };
    }
    if (request.method !== "GET" && request.method !== "POST") {
      return { status: 405, message: "method not allowed", headers: { allow: "GET, POST" } };
    }
    const target = this.#options.tokens.peek(token);
    if (target?.kind !== kind) {
      return { status: 404, message: "this URL was used already, has expired, or never was" };
    }
    return { target, token };
  }

  #refusalWithoutUpgrade(request: IncomingMessage): Refusal {
    const found = this.#find(request);
    if ("status" in found) return found;
    return { status: 400, message: "unable to upgrade: the request asks for no upgrade" };
  }

  #upgrade(request: IncomingMessage, transport: Duplex, head: Buffer): Refusal | undefined {
    const found = this.#find(request);
    if ("status" in found) return found;
    if (request.httpVersion !== "1.1") {
      return { status: 400, message: "unable to upgrade: only HTTP/1.1 knows how" };
    }
    const { sessions, tokens } = this.#options;
    if (sessions.isFull) return { status: 503, message: "too many streaming sessions" };
    const { target, token } = found;
    const upgrade = (request.headers.upgrade ?? "").toLowerCase();
    if (upgrade === "spdy/3.1") {
      const protocol = chooseSpdy(request, target.kind);
      if ("status" in protocol) return protocol;
      if (!tokens.consume(token)) return { status: 404, message: "this URL was used already" };
      transport.write(switching(protocol));
      sessions.serveSpdy(target, protocol, { transport, head });
      return undefined;
    }
    if (upgrade !== "websocket") {
      return { status: 400, message: 'unable to upgrade: want "SPDY/3.1" or "websocket"' };
    }
    const fault = faultOfHandshake(request);
    if (fault !== undefined) return fault;
    const protocol = chooseWebSocket(request, target.kind);
    if ("status" in protocol) return protocol;
    const ports = target.kind === "port-forward" ? queryPorts(request) : [];
    if ("status" in ports) return ports;
    if (!tokens.consume(token)) return { status: 404, message: "this URL was used already" };
    transport.write(handshakeAnswer(request, protocol));
    sessions.serveWebSocket(target, protocol, { transport, head }, ports);
    return undefined;
  }
}

function pathname(request: IncomingMessage): string {
  return (request.url ?? "/").split("?", 1)[0] ?? "/";
}

/** The ports that a client names in its query. What is no port is refused, as kubelets do. */
function queryPorts(request: IncomingMessage): number[] | Refusal {
  const query = (request.url ?? "").split("?").slice(1).join("?");
  const params = new URLSearchParams(query);
  const values = [...params.getAll("port"), ...params.getAll("ports")];
  const ports: number[] = [];
  for (const text of values.flatMap((value) => value.split(","))) {
    const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (port < 1 || port > 65_535) {
      return { status: 400, message: `unable to upgrade: "${shortened(text, 100)}" is no port` };
    }
    ports.push(port);
  }
  return ports;
}

function chooseSpdy(request: IncomingMessage, kind: SessionTarget["kind"]): Protocol | Refusal {
  const offered = listedNames(request.headers["x-stream-protocol-version"]);
  if (offered.length === 0) {
    return { status: 400, message: "unable to upgrade: X-Stream-Protocol-Version is required" };
  }
  const spoken = protocolsOf(kind, "spdy");
  return chooseProtocol(offered, spoken) ?? noCommonProtocol(offered, spoken);
}

function chooseWebSocket(
  request: IncomingMessage,
  kind: SessionTarget["kind"],
): Protocol | Refusal {
  const offered = listedNames(request.headers["sec-websocket-protocol"]);
  if (offered.length === 0) return unnamedProtocol;
  const spoken = protocolsOf(kind, "websocket");
  return chooseProtocol(offered, spoken) ?? noCommonProtocol(offered, spoken);
}

function noCommonProtocol(offered: readonly string[], spoken: readonly Protocol[]): Refusal {
  const names = spoken.map(({ name }) => name).join(", ");
  return {
    status: 403,
    message: `unable to upgrade: client speaks ${offered.join(", ").slice(0, 500)}, server ${names}`,
    headers: { "X-Accepted-Stream-Protocol-Versions": names },
  };
}

function switching({ name }: Protocol): string {
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Connection: Upgrade",
    "Upgrade: SPDY/3.1",
    `X-Stream-Protocol-Version: ${name}`,
    "\r\n",
  ].join("\r\n");
}

function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw fault("INVALID_ARGUMENT", `streaming address "${address}": want host:port`);
  }
  return { host: bracketed ?? (plain || "0.0.0.0"), port: Number(port) };
}
