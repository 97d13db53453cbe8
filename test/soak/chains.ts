// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";

const longest = 28;

/**
 * How many chains of iptables belong to these sandboxes. Their names are made of the network's name and the
 * sandbox's id: `CNI-` of bridge's masquerade, `CNI-DN-` of portmap (FormatChainName of CNI's plugins).
 */
export function chainsOf(saved: string, network: string, sandboxes: Iterable<string>): number {
  const there = new Set(saved.split("\n").flatMap((line) => /^:(CNI-\S+)/.exec(line)?.[1] ?? []));
  if (there.size === 0) return 0;
  let count = 0;
  for (const id of sandboxes) {
    const hash = createHash("sha512")
      .update(network + id)
      .digest("hex");
    for (const prefix of ["CNI-", "CNI-DN-"]) {
      if (there.has(`${prefix}${hash}`.slice(0, longest))) count += 1;
    }
  }
  return count;
}
