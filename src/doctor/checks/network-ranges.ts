// SPDX-License-Identifier: Apache-2.0
import { BlockList, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { isRecord } from "../../base/is-record.ts";
import type { LoadedConf } from "../../network/conf-dir.ts";
import { error, type Finding, warning } from "../finding.ts";
import type { Patient } from "../patient.ts";

interface Range {
  readonly subnet: string;
  /** The node's interface that has an address of it; "" where each pod's has one. */
  readonly bridge: string;
  readonly network: LoadedConf;
}

/** The addresses of pods: whether the node has others of theirs, and the protocol they are of. */
export async function rangeFindings(
  patient: Patient,
  networks: readonly LoadedConf[],
): Promise<Finding[]> {
  const ranges = networks.flatMap(rangesOf);
  const found = await withoutIpv6(patient, ranges);
  if (!patient.host.isOurs) return found;
  for (const range of ranges) found.push(...(await taken(patient, range, ranges)));
  return found;
}

/** Of plugins whose pods are in a network of their own; those of others are in the node's on purpose. */
function rangesOf(network: LoadedConf): Range[] {
  return network.plugins.flatMap(({ type, raw }) => {
    if (type !== "bridge" && type !== "ptp") return [];
    const { ipam, bridge } = raw;
    if (!isRecord(ipam)) return [];
    const sets = Array.isArray(ipam["ranges"]) ? ipam["ranges"].flat() : [];
    const name = type === "ptp" ? "" : typeof bridge === "string" ? bridge : "cni0";
    return [ipam, ...sets].flatMap((one) => {
      const subnet: unknown = isRecord(one) ? one["subnet"] : undefined;
      const isOne = typeof subnet === "string" && blockOf(subnet) !== undefined;
      return isOne ? [{ subnet, bridge: name, network }] : [];
    });
  });
}

async function withoutIpv6({ host }: Patient, ranges: readonly Range[]): Promise<Finding[]> {
  const range = ranges.find(({ subnet }) => subnet.includes(":"));
  if (range === undefined) return [];
  const key = "net.ipv6.conf.all.disable_ipv6";
  const value = await host.value(`/proc/sys/${key.replaceAll(".", "/")}`);
  if (value === "0") return [];
  const { file, name } = range.network;
  return [
    error({
      what: `network ${name} gives addresses of ${range.subnet}, and IPv6 is off on this node`,
      why: "the plugin cannot give the bridge its address, and refuses each pod: `permission denied`",
      mend:
        value === undefined
          ? `boot without ipv6.disable=1, or take the range out of ${file}`
          : `sysctl -w ${key}=0 && echo ${key}=0 >>/etc/sysctl.d/90-berth.conf`,
    }),
  ];
}

async function taken(
  { host }: Patient,
  { subnet, bridge, network }: Range,
  ranges: readonly Range[],
): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (name === bridge || /^(veth|cali|lxc)/.test(name)) continue;
    const one = addresses.find(
      ({ cidr, internal }) => !internal && cidr !== null && isShared(cidr, subnet),
    );
    if (one?.cidr === undefined || one.cidr === null) continue;
    const trouble = {
      what: `network ${network.name} gives pods addresses of ${subnet}, of which the node has ${one.cidr} on ${name}`,
      why: `what is in both goes astray: pods do not reach the machines behind ${name}, or the node does not reach its pods`,
    };
    const members = await host.names(`/sys/class/net/${name}/brif`);
    if ((await host.has(`/sys/class/net/${name}/bridge`)) && members.length === 0) {
      const mend = `ip link delete ${name} # a bridge that nobody is on, of another runtime or an earlier network`;
      found.push(warning({ ...trouble, mend }));
      continue;
    }
    const mend = (await host.has("/etc/kubernetes/kubelet.conf"))
      ? "kubectl get nodes -o custom-columns=NAME:.metadata.name,PODS:.spec.podCIDR # the cluster's network of pods, or the node's, is to be another"
      : anotherRange(subnet, bridge, network, ranges);
    found.push(warning({ ...trouble, mend }));
  }
  return found;
}

function anotherRange(
  subnet: string,
  bridge: string,
  { file }: LoadedConf,
  ranges: readonly Range[],
): string {
  const [, prefix = ""] = subnet.split("/");
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const used = [...all.map(({ cidr }) => cidr ?? ""), ...ranges.map((one) => one.subnet)];
  const isFree = (one: string) => !used.some((other) => isShared(other, one));
  const places = Array.from({ length: 200 }, (_, at) => `10.${at + 50}.0.0/${prefix}`);
  const free = Number(prefix) >= 16 ? places.find(isFree) : undefined;
  if (subnet.includes(":") || free === undefined) return `vi '${file}' # another subnet`;
  const gone = bridge === "" ? "" : `; ip link delete ${bridge} 2>/dev/null`;
  return `sed -i 's#${subnet}#${free}#g' '${file}'${gone}; berth doctor --only cni # pods that run are to be made anew`;
}

/** Whether two ranges have an address in common: then the one has the other's. */
function isShared(one: string, other: string): boolean {
  return has(one, other) || has(other, one);
}

function has(range: string, other: string): boolean {
  const [address = ""] = other.split("/");
  return blockOf(range)?.check(address, familyOf(address)) === true;
}

function blockOf(range: string): BlockList | undefined {
  const [address = "", prefix = ""] = range.split("/");
  const block = new BlockList();
  try {
    block.addSubnet(address, Number(prefix), familyOf(address));
    return block;
  } catch {
    return undefined;
  }
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv6(address) ? "ipv6" : "ipv4";
}
