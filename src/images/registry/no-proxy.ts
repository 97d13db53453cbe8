// SPDX-License-Identifier: Apache-2.0
import { BlockList, isIP } from "node:net";
import { isLoopback } from "./loopback.ts";

/** Whether a URL is asked without a proxy. */
export type NoProxy = (url: URL) => boolean;

/**
 * Entries of NO_PROXY as Go's programs read them: `*`; a host with all names below it; `.host` or `*.host` for those
 * below it alone; an address; a network `address/bits`; all but `*` and networks with `:port`. The loopback never has a
 * proxy. Entries that are none of these match nothing.
 */
export function readNoProxy(entries: readonly string[]): NoProxy {
  const matchers = entries
    .flatMap((entry) => entry.toLowerCase().split(/[\s,]+/))
    .filter((entry) => entry !== "")
    .map(matcherOf);
  return (url) => {
    const host = bare(url.hostname);
    if (isLoopback(host)) return true;
    const port = url.port || (url.protocol === "https:" ? "443" : "80");
    return matchers.some((matches) => matches(host, port));
  };
}

type Matcher = (host: string, port: string) => boolean;

function matcherOf(entry: string): Matcher {
  if (entry === "*") return () => true;
  const network = networkOf(entry);
  if (network) return network;
  const [name, port] = splitPort(entry);
  const isPort: Matcher = (_host, asked) => port === undefined || port === asked;
  if (isIP(name) !== 0) {
    const address = new BlockList();
    address.addAddress(name, familyOf(name));
    return (host, asked) => isIn(address, host) && isPort(host, asked);
  }
  const isBelowAlone = name.startsWith(".") || name.startsWith("*.");
  const suffix = isBelowAlone ? name.replace(/^\*?\./, "") : name;
  const isName = /^[^/?#@:[\]]+$/.test(suffix);
  const plain = (isName && URL.parse(`http://${suffix}`)?.hostname) || suffix; // punycode for other letters
  return (host, asked) =>
    ((host === plain && !isBelowAlone) || host.endsWith(`.${plain}`)) && isPort(host, asked);
}

function networkOf(entry: string): Matcher | undefined {
  const [address = "", bits = "", ...more] = entry.split("/");
  const longest = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  if (more.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > longest) return undefined;
  const network = new BlockList();
  network.addSubnet(address, Number(bits), familyOf(address));
  return (host) => isIn(network, host);
}

/** `host:port`, `[v6]:port`, `host`, `v6`. */
function splitPort(entry: string): [name: string, port: string | undefined] {
  const [, name = entry, port = ""] = /^(\[.*\]|[^:]*):(\d*)$/.exec(entry) ?? [];
  return [bare(name), port === "" ? undefined : port];
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}

function isIn(list: BlockList, host: string): boolean {
  return isIP(host) !== 0 && list.check(host, familyOf(host));
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}
