// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { run } from "./run.ts";

/** A CNI network of our own: bridge, host-local, portmap. Disposing deletes the bridge. */
export interface CniNetwork extends AsyncDisposable {
  readonly confDir: string;
  /** Where host-local keeps one file an address. */
  readonly dataDir: string;
  readonly name: string;
  readonly bridge: string;
  readonly subnet: string;
}

/** Writes `10-NAME.conflist` into `folder`/conf. The tag (hex) picks names and subnet. */
export async function makeCniNetwork(folder: string, tag: string): Promise<CniNetwork> {
  const confDir = path.join(folder, "conf");
  const dataDir = path.join(folder, "ipam");
  await mkdir(confDir, { recursive: true });
  const { subnet, claim } = await claimSubnet(Number.parseInt(tag, 16));
  const bridge = `bt${tag}`;
  const name = `berth-test-${tag}`;
  await writeFile(
    path.join(confDir, `10-${name}.conflist`),
    JSON.stringify(conflist({ name, bridge, subnet, dataDir }), undefined, 2),
  );
  return {
    confDir,
    dataDir,
    name,
    bridge,
    subnet,
    [Symbol.asyncDispose]: async () => {
      await run("ip", ["link", "delete", bridge]);
      await rm(folder, { recursive: true, force: true });
      claim.close();
    },
  };
}

/**
 * One that no other test of this machine's network has now: of two with the same, each would see the other's rules, and its
 * gateway be the other's. What claims it is a socket without a file, which goes with its process.
 */
async function claimSubnet(
  first: number,
): Promise<{ readonly subnet: string; readonly claim: net.Server }> {
  for (let number = first; number < first + 4096; number += 1) {
    const subnet = `10.${208 + (number & 15)}.${(number >> 4) & 255}.0/24`;
    const claim = net.createServer((socket) => socket.destroy()).unref();
    claim.listen(`\0berth-test-${subnet}`);
    try {
      await once(claim, "listening");
      return { subnet, claim };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    }
  }
  throw new Error("every subnet for tests is taken");
}

/** The network list's JSON. */
export function conflist(network: {
  readonly name: string;
  readonly bridge: string;
  readonly subnet: string;
  readonly dataDir: string;
  /** Whether what leaves the subnet does so with the host's address. Default true. */
  readonly ipMasq?: boolean;
}): object {
  return {
    cniVersion: "1.0.0",
    name: network.name,
    plugins: [
      {
        type: "bridge",
        bridge: network.bridge,
        isGateway: true,
        ipMasq: network.ipMasq ?? true,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          dataDir: network.dataDir,
          ranges: [[{ subnet: network.subnet }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
}
