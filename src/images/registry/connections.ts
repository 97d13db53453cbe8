// SPDX-License-Identifier: Apache-2.0
import http from "node:http";
import https from "node:https";
import type { RegistryHost } from "./hosts.ts";
import type { Proxies, Proxy } from "./proxies.ts";
import { ForwardAgent, SocksAgent, TunnelAgent } from "./proxy-agents.ts";
import { isSameServer } from "./same-server.ts";
import type { Authorities } from "./system-authorities.ts";
import { readTlsFiles, type TlsContexts, type TlsTexts, tlsContexts } from "./tls-options.ts";

/** What the node's network asks of all connections to registries. */
export interface NetworkSettings {
  readonly proxies: Proxies;
  /** Of the system; asked for when TLS is spoken. */
  readonly authorities: () => Promise<Authorities>;
}

/** How a URL is reached. */
export interface Route {
  readonly agent: http.Agent;
  readonly proxy: Proxy | undefined;
}

/**
 * Where node's happy eyeballs (one address after the other) give up on an address and try the next. Its own 250 ms is
 * less than far networks and busy nodes need.
 */
const nextAddressMs = 1000;
const kept = { keepAlive: true, autoSelectFamilyAttemptTimeout: nextAddressMs } as const;

/**
 * The connections of one registry host, and of those that it redirects to, kept for reuse. A client certificate is
 * shown to the host alone.
 */
export class Connections implements Disposable {
  readonly #base: URL;
  readonly #connectMs: number;
  readonly #isUnverifiedHere: boolean;
  readonly #texts: TlsTexts;
  readonly #network: NetworkSettings;
  readonly #routes = new Map<string, Route>();
  #tls: Promise<TlsContexts> | undefined;

  private constructor(
    { base, connectTimeoutMs, tls }: RegistryHost,
    texts: TlsTexts,
    network: NetworkSettings,
  ) {
    this.#base = new URL(base);
    this.#connectMs = connectTimeoutMs;
    this.#isUnverifiedHere =
      tls.isUnverifiedHere === true && tls.ca.length + tls.client.length === 0;
    this.#texts = texts;
    this.#network = network;
  }

  /** Errors: those of `readTlsFiles`. */
  static async create(host: RegistryHost, network: NetworkSettings): Promise<Connections> {
    return new Connections(host, await readTlsFiles(host.tls), network);
  }

  /** Errors: those of `tlsContexts`, and of a proxy's address that is none. */
  async to(url: URL): Promise<Route> {
    const proxy = this.#network.proxies(url);
    const isTls = url.protocol === "https:";
    const key = `${isTls && (isSameServer(this.#base, url) ? "own" : "others")} ${proxy?.name} ${proxy?.isTls} ${proxy?.isSocks}`;
    const known = this.#routes.get(key);
    if (known) return known;
    // Where no certificate is checked, and none shown, those of the system need not be read.
    const isBare = this.#isUnverifiedHere && isSameServer(this.#base, url);
    const needsTls = (isTls && !isBare) || proxy?.isTls === true;
    const agent = this.#agent(url, proxy, needsTls ? await this.#contexts() : undefined);
    const route = this.#routes.get(key) ?? { agent, proxy };
    this.#routes.set(key, route);
    return route;
  }

  [Symbol.dispose](): void {
    for (const { agent } of this.#routes.values()) agent.destroy();
  }

  #agent(url: URL, proxy: Proxy | undefined, tls: TlsContexts | undefined): http.Agent {
    const through = proxy && { proxy, context: tls?.others, connectMs: this.#connectMs };
    if (url.protocol !== "https:") {
      if (!through) return new http.Agent(kept);
      return through.proxy.isSocks ? new SocksAgent(through) : new ForwardAgent(through);
    }
    const isOwn = isSameServer(this.#base, url);
    const options = {
      ...kept,
      rejectUnauthorized: this.#isUnverifiedHere ? !isOwn : tls?.rejectUnauthorized,
      ...(tls && { secureContext: isOwn ? tls.own : tls.others }),
    } as https.AgentOptions;
    return through ? new TunnelAgent(options, through) : new https.Agent(options);
  }

  #contexts(): Promise<TlsContexts> {
    this.#tls ??= this.#network.authorities().then((system) => tlsContexts(this.#texts, system));
    return this.#tls;
  }
}
