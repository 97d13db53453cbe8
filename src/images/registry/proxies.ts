// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { RegistryConfig } from "../../config/config.ts";
import { isSocksProxy, noProxyAtAll, parseProxyUrl } from "../../config/proxy-url.ts";
import { basic } from "./credentials.ts";
import { readNoProxy } from "./no-proxy.ts";
import type { SocksLogin } from "./socks.ts";

/** An HTTP or SOCKS proxy. */
export interface Proxy {
  /** `host:port`, for errors: never its credentials. */
  readonly name: string;
  /** Without the brackets of IPv6. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** Speaks SOCKS 5, to which names are left to look up. */
  readonly isSocks: boolean;
  /** For SOCKS. */
  readonly login: SocksLogin | undefined;
  /** Its Proxy-Authorization header. It is for the proxy alone. */
  readonly authorization: string | undefined;
}

/** ` through proxy "host:port"` for an error; "" without one. */
export function throughText(proxy: Proxy | undefined): string {
  return proxy === undefined ? "" : ` through proxy "${proxy.name}"`;
}

/** The proxy that a URL is asked through; undefined for none. */
export type Proxies = (url: URL) => Proxy | undefined;

export type ProxyConfig = Pick<RegistryConfig, "proxy" | "noProxy">;
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/**
 * Which proxy is for what: that of the configuration for all, else HTTPS_PROXY for https and HTTP_PROXY for http, and
 * none for what `noProxy` of the configuration, else NO_PROXY, names. Of a variable in both cases the upper one counts,
 * as for Go's programs. FAILED_PRECONDITION for an address that is none; no error quotes it, for it may hold a password.
 */
export function readProxies({ proxy, noProxy }: ProxyConfig, env: ProxyEnvironment): Proxies {
  const told = (name: string): string => env[name] || env[name.toLowerCase()] || "";
  const address = {
    "http:": proxy ? undefined : told("HTTP_PROXY"),
    "https:": proxy ? undefined : told("HTTPS_PROXY"),
  };
  if (proxy === noProxyAtAll || !(proxy || address["http:"] || address["https:"]))
    return () => undefined;
  const isDirect = readNoProxy(noProxy.length > 0 ? noProxy : [told("NO_PROXY")]);
  return (url) => {
    if (isDirect(url)) return undefined;
    const scheme = url.protocol === "https:" ? "https:" : "http:";
    const text = address[scheme] ?? proxy;
    return text === "" ? undefined : proxyAt(text, sourceOf(proxy, scheme));
  };
}

function sourceOf(proxy: string, scheme: "http:" | "https:"): string {
  if (proxy) return "[registry] proxy";
  return `${scheme === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY"} of the daemon's environment`;
}

function proxyAt(text: string, source: string): Proxy {
  const url = parseProxyUrl(text.trim());
  if (!url)
    throw fault("FAILED_PRECONDITION", `${source} is not the address of an HTTP or SOCKS5 proxy`);
  const isTls = url.protocol === "https:";
  const isSocks = isSocksProxy(url);
  const port = url.port || (isSocks ? "1080" : isTls ? "443" : "80");
  const [user, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
  return {
    name: `${url.hostname}:${port}`,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(port),
    isTls,
    isSocks,
    login: isSocks && (user || password) ? { user, password } : undefined,
    authorization: !isSocks && (user || password) ? basic(user, password) : undefined,
  };
}
