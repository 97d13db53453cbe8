// SPDX-License-Identifier: Apache-2.0
import { access, constants, lstat } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { run } from "../../base/process.ts";
import { shellWord } from "../../base/shell-word.ts";
import { type LoadedConf, loadConfDir } from "../../network/conf-dir.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import { packageCommand } from "../package-command.ts";
import type { Patient } from "../patient.ts";
import { dropsForwarded, inBoth } from "./forward-rules.ts";
import { heldLock } from "./rules-lock.ts";

const answerMs = 5_000;
const mostBytes = 64 * 1024 * 1024;
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
      found.push(...(await dropped(patient, networks, call)), ...(await bothKinds(patient, call)));
    if (networks.length > 0) found.push(...(await firewalld(patient, networks)));
    found.push(...(await heldLock(patient)));
    return found.length > 0 ? found : [ok("nothing is seen that keeps pods' packets")];
  },
};

interface Needed {
  readonly program: "iptables" | "nft";
  /** A newer version of the plugin takes nft where there is no iptables. */
  readonly orNft: boolean;
}

/** What the plugins that all others build on run. */
function programOf(
  { type, raw }: LoadedConf["plugins"][number],
  hasFirewalld: boolean,
): Needed | undefined {
  const { backend, ipMasqBackend, ipMasq } = raw;
  // It knows no nft, and takes firewalld by itself where that runs.
  if (type === "firewall")
    return backend === "firewalld" || (hasFirewalld && backend !== "iptables")
      ? undefined
      : { program: "iptables", orNft: false };
  const masquerades = (type === "bridge" || type === "ptp") && ipMasq === true;
  if (type !== "portmap" && !masquerades) return undefined;
  const set = type === "portmap" ? backend : ipMasqBackend;
  if (set === "nftables") return { program: "nft", orNft: false };
  return { program: "iptables", orNft: set === undefined };
}

async function missingPrograms(
  patient: Patient,
  networks: readonly LoadedConf[],
): Promise<Finding[]> {
  const hasFirewalld = (await patient.processes()).some(({ name }) => name === "firewalld");
  const hasNft = (await onPath(patient, "nft")) !== undefined;
  const needed = new Map<string, { readonly level: typeof error; readonly user: string }>();
  for (const { name, plugins } of networks) {
    for (const plugin of plugins) {
      const wanted = programOf(plugin, hasFirewalld);
      if (wanted === undefined) continue;
      const level = wanted.orNft && hasNft ? note : error;
      const known = needed.get(wanted.program)?.level;
      if (known === error || known === level) continue;
      needed.set(wanted.program, { level, user: `the plugin ${plugin.type} of network ${name}` });
    }
  }
  const found: Finding[] = [];
  for (const [program, { level, user }] of needed) {
    if ((await onPath(patient, program)) !== undefined) continue;
    const mend = await packageCommand(patient.host, program === "nft" ? "nft" : "iptables");
    const what = `there is no ${program} on berthd's PATH, which ${user} runs`;
    found.push(
      level === error
        ? error({
            what,
            why: "pods are refused, or have no host ports and reach nothing outside",
            mend,
          })
        : note({
            what: `${what} unless it is new enough to take nft`,
            why: "a new one takes nft, which is there; an older one refuses pods",
            mend: `${mend} # for older plugins`,
          }),
    );
  }
  return found;
}

/** What is not for one node's addresses falls to the chain's policy where no rule takes it. */
async function dropped(
  patient: Patient,
  networks: readonly LoadedConf[],
  call: Cancellable,
): Promise<Finding[]> {
  const isLegacy = !/nf_tables/.test(await said(patient, ["iptables", "--version"], call));
  if (isLegacy && !(await hasLegacyTables(patient))) return [];
  // It prints the tables that there are, and makes none.
  if (!dropsForwarded(await said(patient, ["iptables-save"], call))) return [];
  const accept = bridgesOf(networks).flatMap((bridge) =>
    ["-i", "-o"].map((way) => `iptables -I FORWARD ${way} ${bridge} -j ACCEPT`),
  );
  return [
    warning({
      what: "the policy of iptables' chain FORWARD is DROP, and no rule lets pods' packets through",
      why: "pods reach no other node and nothing outside, and are not reached from there; Docker, ufw and hand-made rules set it so",
      mend: `${accept.join(" && ")} # until the rules are made anew: at a restart, or with ufw by its reload, which keeps what \`ufw route allow\` is told`,
    }),
  ];
}

/** Which of the two the rules are in is what `iptables` was when they were made; both kinds hold. */
async function bothKinds(patient: Patient, call: Cancellable): Promise<Finding[]> {
  if (!(await hasLegacyTables(patient))) return [];
  const legacy = await said(patient, ["iptables-legacy-save"], call);
  const nft = await said(patient, ["iptables-nft-save"], call);
  return inBoth(legacy, nft).map((of) =>
    note({
      what: `rules of ${of} are in both kinds of iptables, legacy and nft`,
      why: `both hold, and where one kind is from before a change nobody changes it any more: ${of === "Services" ? "Services go to pods that are gone" : "host ports lead to pods that are gone"}. Which it is, the rules do not tell`,
      mend: `for kind in legacy nft; do echo "$kind: $(iptables-$kind-save | grep -cE '^-A (KUBE|CNI)-')"; done; iptables --version # those of the kind that nobody uses are gone after the node's next start`,
    }),
  );
}

/** Asking iptables-legacy where it has no tables would make them. */
async function hasLegacyTables({ host }: Patient): Promise<boolean> {
  return ((await host.value("/proc/net/ip_tables_names")) ?? "") !== "";
}

/** Words for a shell; a name of which the kernel would make no interface is left to who reads it. */
function bridgesOf(networks: readonly LoadedConf[]): string[] {
  const names = networks.flatMap(({ plugins }) =>
    plugins.flatMap(({ type, raw }) =>
      type === "bridge" ? [typeof raw["bridge"] === "string" ? raw["bridge"] : "cni0"] : [],
    ),
  );
  const words = [...new Set(names)].filter((name) => /^(?!-)[^\s/:]{1,15}$/.test(name));
  return words.length === 0 ? ["INTERFACE"] : words.map(shellWord);
}

async function firewalld(patient: Patient, networks: readonly LoadedConf[]): Promise<Finding[]> {
  if (!(await patient.processes()).some(({ name }) => name === "firewalld")) return [];
  const trust = bridgesOf(networks).map((one) => `--add-interface=${one}`);
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
