// SPDX-License-Identifier: Apache-2.0
import { must } from "../run.ts";
import type { Box } from "./box.ts";

/** The addresses of a cluster: only the first network is seen by the host. */
export interface Addresses {
  readonly controlPlane: string;
  readonly host: string;
  readonly nodes: readonly string[];
  /** Of each node's pods. */
  readonly podSubnets: readonly string[];
}

export const podNetwork = "10.244.0.0/16";
export const serviceNetwork = "10.96.0.0/16";
export const dnsAddress = "10.96.0.10";
export const kubernetesAddress = "10.96.0.1";

/** The host's end of the link between it and a cluster. */
export function hostLinkOf(tag: string): string {
  return `berthc${tag}`;
}

/**
 * A bridge in the control plane's box with a link to each node and one to the host, and the routes between the nodes'
 * pods. Nothing of it outlives that box but, for some minutes, the host's link: connections whose other end is gone
 * keep the box's network until they are given up.
 */
export async function wire(
  tag: string,
  { controlPlane, nodes }: { readonly controlPlane: Box; readonly nodes: readonly Box[] },
): Promise<Addresses> {
  const number = Number.parseInt(tag, 16);
  const prefix = `10.${224 + (number & 7)}.${(number >> 3) & 255}`;
  const addresses: Addresses = {
    controlPlane: `${prefix}.1`,
    host: `${prefix}.254`,
    nodes: nodes.map((_, index) => `${prefix}.${11 + index}`),
    podSubnets: nodes.map((_, index) => `10.244.${1 + index}.0/24`),
  };
  const ip = (line: string): Promise<string> => controlPlane.must("ip", line.split(" "));
  await ip("link add switch type bridge");
  await ip(`addr add ${addresses.controlPlane}/24 dev switch`);
  await ip("link set switch up");
  const hostLink = hostLinkOf(tag);
  const peer = `type veth peer name host netns ${controlPlane.pid}`;
  await must("ip", ["link", "add", hostLink, ...peer.split(" ")]);
  await must("ip", ["addr", "add", `${addresses.host}/24`, "dev", hostLink]);
  await must("ip", ["link", "set", hostLink, "up"]);
  await ip("link set host master switch up");
  for (const [index, node] of nodes.entries()) {
    const link = `node${index}`;
    // The host's ip, for it knows the node's process by the host's number.
    await must("nsenter", [
      `--net=/proc/${controlPlane.pid}/ns/net`,
      ...`ip link add ${link} type veth peer name eth0 netns ${node.pid}`.split(" "),
    ]);
    await ip(`link set ${link} master switch up`);
    await node.must("ip", ["addr", "add", `${addresses.nodes[index]}/24`, "dev", "eth0"]);
    await node.must("ip", ["link", "set", "eth0", "up"]);
    await node.must("ip", ["route", "add", "default", "via", addresses.controlPlane]);
  }
  for (const [index, subnet] of addresses.podSubnets.entries()) {
    const route = ["route", "add", subnet, "via", addresses.nodes[index]!];
    await controlPlane.must("ip", route);
    for (const other of nodes) if (other !== nodes[index]) await other.must("ip", route);
  }
  return addresses;
}
