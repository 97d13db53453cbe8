// SPDX-License-Identifier: Apache-2.0
import { isIPv4 } from "node:net";
import { isRecord } from "../../base/is-record.ts";
import { shellWord } from "../../base/shell-word.ts";
import type { LoadedConf } from "../../network/conf-dir.ts";
import type { KubeletFacts } from "../facts/kubelet.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, warning } from "../finding.ts";
import type { Host } from "../host.ts";
import type { Patient } from "../patient.ts";
import { addressOf, type Block, blockOf } from "./address-span.ts";
import { inFlags } from "./kubelet-flags.ts";
import { setKey } from "./kubelet-key.ts";

const usualPods = 110;
const usualFolder = "/var/lib/cni/networks";
const fullShare = 0.95;

/** Whether a network has an address for each pod that the kubelet takes, and whether it has any left. */
export async function countFindings(
  patient: Patient,
  networks: readonly LoadedConf[],
): Promise<Finding[]> {
  const { host } = patient;
  const kubelet = await patient.kubelet();
  const found: Finding[] = [];
  for (const { name, file, plugins } of networks) {
    const ipam = plugins.map(({ raw }) => raw["ipam"]).find(isRecord);
    if (ipam?.["type"] !== "host-local") continue;
    const most = addressesOf(ipam);
    if (most === undefined) continue;
    const { dataDir } = ipam;
    const folder = `${typeof dataDir === "string" ? dataDir : usualFolder}/${name}`;
    // Each pod of two families has a file for each.
    const given = (await host.names(folder).catch(() => [])).filter((one) => isIPv4(one));
    const told = `network ${name} of ${file}`;
    if (given.length >= most * fullShare) {
      found.push(
        error({
          what: `${told} has given ${given.length} of its ${most} addresses`,
          why: "pods get none: `no IP addresses available in range set`",
          mend: `berth doctor --only leftovers --fix; ls ${shellWord(folder)} # each file names the container that has the address`,
        }),
      );
    }
    const pods = kubelet && podsOf(kubelet);
    if (kubelet === undefined || pods === undefined || pods <= most) continue;
    found.push(
      warning({
        what: `${told} has ${most} addresses, and the kubelet takes ${pods} pods`,
        why: "the pods beyond that are given to this node and never start: `no IP addresses available in range set`",
        mend: await setPods(host, kubelet, most),
      }),
    );
  }
  return found;
}

/** Of IPv4, without the network's, the gateway's and the last one; undefined where there is no such range, or more than one. */
function addressesOf(ipam: Readonly<Record<string, unknown>>): number | undefined {
  const sets = Array.isArray(ipam["ranges"]) ? ipam["ranges"] : [];
  const all = [ipam, ...sets.flat()].filter(isRecord).flatMap((one) => {
    const block = typeof one["subnet"] === "string" ? blockOf(one["subnet"]) : undefined;
    return block?.family === 4 ? [countOf(block, one)] : [];
  });
  return all.length === 1 ? all[0] : undefined;
}

function countOf(block: Block, one: Readonly<Record<string, unknown>>): number {
  const at = (key: string): bigint | undefined => {
    const value = one[key];
    return typeof value === "string" ? addressOf(value) : undefined;
  };
  const gateway = at("gateway") ?? block.from + 1n;
  const from = at("rangeStart") ?? block.from + 1n;
  const to = at("rangeEnd") ?? block.to - 1n;
  const isInside = gateway >= from && gateway <= to;
  return Math.max(0, Number(to - from + 1n) - Number(isInside));
}

function podsOf({ flags, settings }: KubeletFacts): number | undefined {
  const set = flagOf(flags, "max-pods") ?? settings["maxPods"] ?? usualPods;
  return Number.isInteger(Number(set)) ? Number(set) : undefined;
}

async function setPods(host: Host, kubelet: KubeletFacts, most: number): Promise<string> {
  return flagOf(kubelet.flags, "max-pods") === undefined
    ? setKey(host, kubelet, "maxPods", String(most))
    : inFlags(`s#(--max-pods[= ])[0-9]+#\\1${most}#`, "--max-pods", kubelet);
}
