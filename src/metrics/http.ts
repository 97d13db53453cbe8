// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { errnoOf, fault } from "../base/errors.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import type { Health } from "./ports.ts";
import { registerTaskMetrics } from "./task-metrics.ts";
import type { TaskSamples } from "./task-samples.ts";

export interface ServeMetricsOptions {
  /** `host:port`, IPv6 in brackets; port 0 picks one; "" serves nothing. */
  readonly address: string;
  readonly registry: Registry;
  readonly tasks: TaskSamples;
  readonly health: () => Health | Promise<Health>;
  readonly log?: Logger;
}

/** The endpoint; disposing closes it and its connections. */
export interface MetricsServer extends AsyncDisposable {
  /** `host:port` as bound; "" when nothing is served. */
  readonly address: string;
  /**
   * Listens on another address as well, or on none for "", until either is let go. Only where both
   * are one port, the present one is closed meanwhile. Fails as serveMetrics does, and then serves on.
   */
  prepareMove(address: string): Promise<PreparedMove>;
}

/** One of the two is called. */
export interface PreparedMove {
  /** Serves on the new address alone. */
  commit(): void;
  /** Serves on the old one alone. */
  rollback(): Promise<void>;
}

/**
 * Serves `/metrics` and `/healthz` over plain HTTP. Scrapes that come at once share one pass and one
 * text. INVALID_ARGUMENT for a bad address, ALREADY_EXISTS when it is taken.
 */
export async function serveMetrics(options: ServeMetricsOptions): Promise<MetricsServer> {
  registerTaskMetrics(options.registry, options.tasks);
  const pages = new Pages(options);
  return new MovableServer(pages, await open(pages, options.address));
}

class MovableServer implements MetricsServer {
  readonly #pages: Pages;
  #server: Server | undefined;
  /** Those that answer what they were asked, and nobody else. */
  readonly #retired = new Set<Server>();

  constructor(pages: Pages, server: Server | undefined) {
    this.#pages = pages;
    this.#server = server;
  }

  get address(): string {
    return this.#server ? boundAddress(this.#server) : "";
  }

  async prepareMove(address: string): Promise<PreparedMove> {
    const old = this.#server;
    const oldAddress = this.address;
    const collides = old !== undefined && address !== "" && portOf(address) === portOf(oldAddress);
    if (collides) this.#retire(old);
    const reopen = async (): Promise<void> => {
      if (collides) this.#server = await open(this.#pages, oldAddress);
    };
    let next: Server | undefined;
    try {
      next = await open(this.#pages, address);
    } catch (error) {
      await reopen();
      throw error;
    }
    return {
      commit: () => {
        this.#server = next;
        if (old && !collides) this.#retire(old);
      },
      rollback: async () => {
        if (next) await close(next);
        await reopen();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#retired) server.closeAllConnections();
    if (this.#server) await close(this.#server);
  }

  /** The socket is closed at once; scrapes that run get their answers. */
  #retire(server: Server): void {
    this.#retired.add(server);
    server.close(() => this.#retired.delete(server));
  }
}

/** A server that listens; undefined for the address "". */
async function open(pages: Pages, address: string): Promise<Server | undefined> {
  if (address === "") return undefined;
  const { host, port } = parseAddress(address);
  const server = createServer((request, response) => pages.serve(request, response));
  // A peer that opens a connection and says nothing holds it this long, no longer.
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  server.maxConnections = 64;
  await listen(server, host, port, address);
  return server;
}

function boundAddress(server: Server): string {
  const bound = server.address() as AddressInfo | null;
  if (bound === null) return "";
  return bound.family === "IPv6"
    ? `[${bound.address}]:${bound.port}`
    : `${bound.address}:${bound.port}`;
}

function portOf(address: string): number {
  return parseAddress(address).port;
}

class Pages {
  readonly #registry: Registry;
  readonly #health: ServeMetricsOptions["health"];
  readonly #log: Logger;
  #scrape: Promise<string> | undefined;

  constructor({ registry, health, log = silentLogger }: ServeMetricsOptions) {
    this.#registry = registry;
    this.#health = health;
    this.#log = log;
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    this.#answer(request, response).catch((error: unknown) => {
      this.#log.error({ err: error, path: request.url }, "metrics request failed");
      if (!response.headersSent) send(request, response, { status: 500, body: "internal error\n" });
      else response.destroy();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const page = this.#page((request.url ?? "/").split("?", 1)[0] ?? "/");
    if (page === undefined)
      return send(request, response, {
        status: 404,
        body: "not found: see /metrics, /healthz\n",
      });
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return send(request, response, { status: 405, body: "only GET and HEAD are served\n" });
    }
    send(request, response, await page());
  }

  #page(path: string): (() => Promise<Page>) | undefined {
    switch (path) {
      case "/metrics":
        return async () => ({
          status: 200,
          body: await this.#metrics(),
          type: this.#registry.contentType,
        });
      case "/healthz":
        return async () => {
          const { healthy, detail } = await this.#health();
          return { status: healthy ? 200 : 503, body: `${detail || "ok"}\n` };
        };
      default:
        return undefined;
    }
  }

  #metrics(): Promise<string> {
    this.#scrape ??= this.#registry.metrics().finally(() => {
      this.#scrape = undefined;
    });
    return this.#scrape;
  }
}

interface Page {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body, type = "text/plain; charset=utf-8" }: Page,
): void {
  response.statusCode = status;
  response.setHeader("content-type", type);
  response.setHeader("content-length", Buffer.byteLength(body));
  response.setHeader("cache-control", "no-store");
  response.end(request.method === "HEAD" ? undefined : body);
}

function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address) ?? [];
  const number = Number(port);
  if (port === undefined || number > 65535) {
    throw fault("INVALID_ARGUMENT", `metrics address "${address}": want host:port`);
  }
  return { host: bracketed ?? (plain || "0.0.0.0"), port: number };
}

async function listen(server: Server, host: string, port: number, address: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port, exclusive: true }, resolve);
  try {
    await promise;
  } catch (error) {
    const errno = errnoOf(error);
    const code = errno === "EADDRINUSE" ? "ALREADY_EXISTS" : "INVALID_ARGUMENT";
    throw fault(code, `metrics address "${address}": ${errno ?? String(error)}`, { cause: error });
  }
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  await promise;
}
