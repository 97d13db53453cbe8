// SPDX-License-Identifier: Apache-2.0
import { BlockList, isIP } from "node:net";

const addresses = new BlockList();
addresses.addSubnet("127.0.0.0", 8);
addresses.addAddress("::1", "ipv6");

/** Whether a host as a URL has it, `[::1]` with brackets, is this machine by its name or address. */
export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  if (host.toLowerCase() === "localhost") return true;
  const family = isIP(host);
  return family !== 0 && addresses.check(host, family === 6 ? "ipv6" : "ipv4");
}
