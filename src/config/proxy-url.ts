// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type Kind, once } from "./kinds.ts";

/** In place of a proxy's address: no proxy, whatever the environment says. */
export const noProxyAtAll = "none";

const protocols = new Set(["http:", "https:", "socks5:", "socks5h:"]);

/**
 * The address of a proxy, as people write it: `http://user:password@proxy.example:3128`, `https://…` for one that is
 * spoken to over TLS, `socks5://…` or `socks5h://…`, and without a scheme plain http. Undefined for anything else.
 */
export function parseProxyUrl(text: string): URL | undefined {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || !protocols.has(url.protocol) || url.hostname === "") return undefined;
  if (!/^\/?$/.test(url.pathname + url.search + url.hash)) return undefined;
  return isDecodable(url.username) && isDecodable(url.password) ? url : undefined;
}

/** One that speaks SOCKS 5. Both names mean the same, as to Go's programs: it looks names up. */
export function isSocksProxy({ protocol }: URL): boolean {
  return protocol.startsWith("socks");
}

/** A proxy's address, "none", or "" for what the environment says. Neither errors nor the writer show a password. */
export const proxyUrl: Kind<string> = {
  name: 'proxy\'s URL, "none" or ""',
  get schema() {
    return proxySchema();
  },
  write: withoutPassword,
};

const proxySchema = once(() =>
  z
    .string({ error: "expected a string" })
    .refine((text) => text === "" || text === noProxyAtAll || parseProxyUrl(text) !== undefined, {
      error:
        'expected "http://HOST:PORT", "https://HOST:PORT" or "socks5://HOST:PORT" of a proxy, "none" or ""',
    }),
);

function withoutPassword(text: string): string {
  const url = text === "" || text === noProxyAtAll ? undefined : parseProxyUrl(text);
  if (!url?.username && !url?.password) return text;
  // A token may stand as the name alone.
  if (url.password) url.password = "xxxxx";
  else url.username = "xxxxx";
  return url.href;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
