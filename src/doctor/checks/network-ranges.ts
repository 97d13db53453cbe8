// SPDX-License-Identifier: Apache-2.0
import { networkInterfaces } from "node:os";
import { isRecord } from "../../base/is-record.ts";
import { shellWord } from "../../base/shell-word.ts";
import type { LoadedConf } from "../../network/conf-dir.ts";
import { error, type Finding, warning } from "../finding.ts";
import type { Host } from "../host.ts";
import type { Patient } from "../patient.ts";
import { addressOf, areShared, type Block, blockOf, type Span } from "./address-span.ts";

type Interfaces = ReturnType<typeof networkInterfaces>;

interface Range {
  readonly subnet: string;
  readonly block: Block;
  /** What pods are given of it. */
  readonly given: Span;
  /** Nothing else in the configuration has to be in the subnet. */
  readonly isAlone: boolean;
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
  return [...found, ...(await takenFindings(patient.host, networks, networkInterfaces()))];
}

/** Of pods' addresses, those that the node has on another interface. */
export async function takenFindings(
  host: Host,
  networks: readonly LoadedConf[],
  interfaces: Interfaces,
): Promise<Finding[]> {
  const ranges = networks.flatMap(rangesOf);
  const found: Finding[] = [];
  for (const range of ranges) found.push(...(await taken(host, range, { ranges, interfaces })));
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
    const all = [ipam, ...sets].filter(isRecord);
    const isAlone = !all.some(
      (one) => "gateway" in one || "rangeStart" in one || "rangeEnd" in one,
    );
    return all.flatMap((one) => {
      const { subnet } = one;
      const block = typeof subnet === "string" ? blockOf(subnet) : undefined;
      if (typeof subnet !== "string" || block === undefined) return [];
      return [{ subnet, block, given: givenOf(block, one), isAlone, bridge: name, network }];
    });
  });
}

function givenOf(block: Block, { rangeStart, rangeEnd }: Readonly<Record<string, unknown>>): Span {
  const inside = (text: unknown): bigint | undefined => {
    const value = typeof text === "string" ? addressOf(text) : undefined;
    return value !== undefined && value >= block.from && value <= block.to ? value : undefined;
  };
  return {
    family: block.family,
    from: inside(rangeStart) ?? block.from,
    to: inside(rangeEnd) ?? block.to,
  };
}

async function withoutIpv6({ host }: Patient, ranges: readonly Range[]): Promise<Finding[]> {
  const range = ranges.find(({ subnet }) => subnet.includes(":"));
  if (range === undefined) return [];
  const key = "net.ipv6.conf.all.disable_ipv6";
  const value = await host.value(`/proc/sys/${key.replaceAll(".", "/")}`);
  const { file, name } = range.network;
  if (value === "0") return unforwarded(host, range);
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

async function unforwarded(host: Host, { subnet, network }: Range): Promise<Finding[]> {
  const key = "net.ipv6.conf.all.forwarding";
  if ((await host.value(`/proc/sys/${key.replaceAll(".", "/")}`)) !== "0") return [];
  return [
    error({
      what: `network ${network.name} gives addresses of ${subnet}, and ${key} is 0`,
      why: "the node forwards nothing of IPv6: pods reach neither Services nor other nodes by it",
      mend: `sysctl -w ${key}=1 && echo ${key}=1 >>/etc/sysctl.d/90-berth.conf`,
    }),
  ];
}

/** Interfaces that are pods' own, or lead to those of other nodes. */
const ofPods = /^(veth|cali|lxc|flannel|cilium_|vxlan\.calico|tunl|kube-ipvs)/;

interface Node {
  readonly ranges: readonly Range[];
  readonly interfaces: Interfaces;
}

async function taken(host: Host, range: Range, node: Node): Promise<Finding[]> {
  const { subnet, bridge, network } = range;
  const found: Finding[] = [];
  for (const [name, addresses = []] of Object.entries(node.interfaces)) {
    if (name === bridge || ofPods.test(name)) continue;
    const one = addresses.find(
      ({ address, cidr, internal }) => !internal && cidr !== null && takes(range, address, cidr),
    );
    if (one === undefined) continue;
    const isBridge = await host.has(`/sys/class/net/${name}/bridge`);
    const isLeft = isBridge && (await host.names(`/sys/class/net/${name}/brif`)).length === 0;
    found.push(
      warning({
        what: `network ${network.name} gives pods addresses of ${subnet}, of which the node has ${one.cidr} on ${name}`,
        why: `what is in both goes astray: pods do not reach the machines behind ${name}, or the node does not reach its pods${isLeft ? "; it is a bridge that nobody is on: where no other runtime needs it, it can be deleted in place of what is below" : ""}`,
        mend: (await host.has("/etc/kubernetes/kubelet.conf"))
          ? "kubectl get nodes -o custom-columns=NAME:.metadata.name,PODS:.spec.podCIDR # the cluster's network of pods, or the node's, is to be another"
          : await anotherRange(host, range, node),
      }),
    );
  }
  return found;
}

/** Whether an interface's network has addresses that pods are given. One that is wider is passed over: the pods' route wins. */
function takes({ block, given }: Range, address: string, cidr: string): boolean {
  const theirs = blockOf(cidr);
  const own = addressOf(address);
  if (theirs === undefined || own === undefined || theirs.family !== given.family) return false;
  if (own >= given.from && own <= given.to) return true;
  return theirs.prefix >= block.prefix && areShared(theirs, given);
}

async function anotherRange(
  host: Host,
  { subnet, block, isAlone, network }: Range,
  { ranges, interfaces }: Node,
): Promise<string> {
  const file = shellWord(network.file);
  const all = Object.values(interfaces).flatMap((list) => list ?? []);
  const used = [...all.map(({ cidr }) => blockOf(cidr ?? "")), ...ranges.map((one) => one.block)];
  const isFree = (one: string): boolean => {
    const wanted = blockOf(one);
    return wanted !== undefined && !used.some((other) => other && areShared(other, wanted));
  };
  const places = Array.from({ length: 200 }, (_, at) => `10.${at + 50}.0.0/${block.prefix}`);
  const free = block.family === 4 && block.prefix >= 16 ? places.find(isFree) : undefined;
  const isWritten = (await host.text(network.file))?.includes(`"${subnet}"`) === true;
  const rest = "pods that run are to be made anew, and their bridge, which keeps its old address";
  if (free === undefined || !isAlone || !isWritten)
    return `vi ${file} # another subnet, with what else is in it: gateway, rangeStart, rangeEnd; ${rest}`;
  const script = `s#"${subnet.replaceAll(".", "\\.")}"#"${free}"#g`;
  return `sed -i '${script}' ${file}; berth doctor --only cni # ${rest}`;
}
