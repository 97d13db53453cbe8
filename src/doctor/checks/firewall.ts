// SPDX-License-Identifier: Apache-2.0
import { access, constants, lstat } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { run } from "../../base/process.ts";
import { type LoadedConf, loadConfDir } from "../../network/conf-dir.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import { packageCommand } from "../package-command.ts";
import type { Patient } from "../patient.ts";

const answerMs = 5_000;
const mostBytes = 64 * 1024 * 1024;
/** Chains in which network add-ons let their pods' packets through. */
const lettingThrough =
  /^-A FORWARD .*-j (CNI-|FLANNEL-|cali-|CILIUM_|KUBE-ROUTER-|ANTREA-|WEAVE-)/m;
/** Chains that only are where the rules of Services or pods are. */
const ofPods = /^:(KUBE-SERVICES|KUBE-SEP-|CNI-HOSTPORT-DNAT|CNI-[0-9a-f]{8})/m;

export const firewall: Check = {
  name: "firewall",
  about: "iptables: whether it is there, and what keeps pods' packets",
  needsConfig: true,
  run: async (patient, call) => {
    const { host, config } = patient;
    await host.reach(config.cni.confDir);
    const { networks } = await loadConfDir(host.at(config.cni.confDir), config.cni.maxConfNum);
    const found = await missingPrograms(patient, networks);
    if (networks.length > 0 && host.isOurs && process.getuid?.() === 0)
      found.push(...(await dropped(patient, call)), ...(await bothKinds(patient, call)));
    if (networks.length > 0) found.push(...(await firewalld(patient, networks)));
    return found.length > 0 ? found : [ok("nothing is seen that keeps pods' packets")];
  },
};

/** What the plugins that all others build on run. */
function programOf({ type, raw }: LoadedConf["plugins"][number]): "iptables" | "nft" | undefined {
  const isNft = raw["backend"] === "nftables" || raw["ipMasqBackend"] === "nftables";
  const rules =
    type === "portmap" ||
    (type === "firewall" && raw["backend"] !== "firewalld") ||
    ((type === "bridge" || type === "ptp") && raw["ipMasq"] === true);
  return rules ? (isNft ? "nft" : "iptables") : undefined;
}

async function missingPrograms(
  patient: Patient,
  networks: readonly LoadedConf[],
): Promise<Finding[]> {
  const needed = new Map<"iptables" | "nft", string>();
  for (const { name, plugins } of networks) {
    for (const plugin of plugins) {
      const program = programOf(plugin);
      if (program !== undefined && !needed.has(program))
        needed.set(program, `the plugin ${plugin.type} of network ${name}`);
    }
  }
  const found: Finding[] = [];
  for (const [program, user] of needed) {
    if ((await onPath(patient, program)) !== undefined) continue;
    found.push(
      error({
        what: `there is no ${program} on berthd's PATH, which ${user} runs`,
        why: "pods are refused, or have no host ports and reach nothing outside",
        mend: await packageCommand(patient.host, program),
      }),
    );
  }
  return found;
}

/** What is not for one node's addresses falls to the chain's policy where no rule takes it. */
async function dropped(patient: Patient, call: Cancellable): Promise<Finding[]> {
  const rules = await said(patient, ["iptables", "-w", "3", "-S", "FORWARD"], call);
  if (!/^-P FORWARD (DROP|REJECT)$/m.test(rules) || lettingThrough.test(rules)) return [];
  const accepted = rules
    .split("\n")
    .filter((rule) => /^-A FORWARD .*-j ACCEPT$/.test(rule))
    // Answers, Docker's own, and what is marked are some packets among all.
    .filter((rule) => !/docker|--ctstate|--state|--mark/.test(rule));
  if (accepted.length > 0) return [];
  return [
    warning({
      what: "the policy of iptables' chain FORWARD is DROP, and no rule lets pods' packets through",
      why: "pods reach no other node and nothing outside, and are not reached from there; Docker, ufw and hand-made rules set it so",
      mend: "iptables -P FORWARD ACCEPT # until whoever set it sets it anew: Docker at its start, ufw by DEFAULT_FORWARD_POLICY in /etc/default/ufw",
    }),
  ];
}

/** Which of the two the rules are in is what `iptables` was when they were made; both kinds hold. */
async function bothKinds(patient: Patient, call: Cancellable): Promise<Finding[]> {
  // Asking for tables that are not there would make them.
  const tables = (await patient.host.value("/proc/net/ip_tables_names")) ?? "";
  if (tables === "") return [];
  const kinds = ["iptables-legacy-save", "iptables-nft-save"];
  for (const kind of kinds) if (!ofPods.test(await said(patient, [kind], call))) return [];
  const isLegacy = /legacy/.test(await said(patient, ["iptables", "--version"], call));
  const other = isLegacy ? "nft" : "legacy";
  return [
    warning({
      what: `rules of pods and Services are in both kinds of iptables, and iptables itself is ${isLegacy ? "legacy" : "nft"}`,
      why: `those of the other kind hold, too, and nobody changes them any more: Services go to pods that are gone`,
      mend: `iptables-${other}-save | grep -vE 'KUBE-|CNI-' | iptables-${other}-restore`,
    }),
  ];
}

async function firewalld(patient: Patient, networks: readonly LoadedConf[]): Promise<Finding[]> {
  if (!(await patient.processes()).some(({ name }) => name === "firewalld")) return [];
  const bridges = networks.flatMap(({ plugins }) =>
    plugins.flatMap(({ type, raw }) =>
      type === "bridge" ? [typeof raw["bridge"] === "string" ? raw["bridge"] : "cni0"] : [],
    ),
  );
  const trust = (bridges.length === 0 ? ["INTERFACE"] : bridges).map(
    (one) => `--add-interface=${one}`,
  );
  return [
    note({
      what: "firewalld runs on this node",
      why: "what its zones do not let through it keeps from pods, whatever other rules say",
      mend: `firewall-cmd --permanent --zone=trusted ${trust.join(" ")} && firewall-cmd --reload`,
    }),
  ];
}

/** Its output; "" where it is not there, or fails. */
async function said(
  patient: Patient,
  [program = "", ...args]: readonly string[],
  { signal }: Cancellable,
): Promise<string> {
  const file = await onPath(patient, program);
  if (file === undefined) return "";
  try {
    const options = { signal, timeoutMs: answerMs, maxOutputBytes: mostBytes };
    return (await run(file, args, options)).stdout.toString();
  } catch {
    signal.throwIfAborted();
    return "";
  }
}

async function onPath(patient: Patient, program: string): Promise<string | undefined> {
  for (const folder of await patient.searchPath()) {
    const file = patient.host.at(path.join(folder, program));
    // The links of Debian's alternatives lead through the node's own root.
    if (!patient.host.isOurs && (await isLink(file))) return file;
    if (await isExecutable(file)) return file;
  }
  return undefined;
}

async function isLink(file: string): Promise<boolean> {
  return (await lstat(file).catch(() => undefined))?.isSymbolicLink() === true;
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
