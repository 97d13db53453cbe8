// SPDX-License-Identifier: Apache-2.0

/** Chains in which network add-ons let their pods' packets through. */
const lettingThrough = /^(CNI-|FLANNEL-|cali-|CILIUM_|KUBE-ROUTER-|ANTREA-|WEAVE-)/;
/** What takes some packets among all: answers, what is marked, what is Docker's or a virtual machine's, one protocol. */
const partly =
  /docker|\bbr-[0-9a-f]{12}\b|\b(?:virbr|lxcbr|lxdbr)\d|--ctstate|--state|--mark|-p (icmp|ipv6-icmp|igmp)\b|--dst-type|--src-type/;
/** Docker's own packets alone go through these; operators have the one that is for them. */
const ofDocker = /^DOCKER(?!-USER$)/;
/** ufw's rules for what is forwarded are two jumps away. */
const mostJumps = 3;

/**
 * Whether what is forwarded is dropped, pods' packets with it: by the policy of FORWARD, where no rule of it, or of chains that it
 * jumps to, lets any through. `saved` is what iptables-save prints. What is not understood is taken for a rule that does.
 */
export function dropsForwarded(saved: string): boolean {
  const filter = tableOf(saved, "filter");
  if (!/^:FORWARD (DROP|REJECT)\b/m.test(filter)) return false;
  const rules = Map.groupBy(filter.match(/^-A .*$/gm) ?? [], (rule) => rule.split(" ")[1] ?? "");
  const seen = new Set<string>();
  let chains = ["FORWARD"];
  for (let jumps = 0; jumps <= mostJumps && chains.length > 0; jumps += 1) {
    const next: string[] = [];
    for (const rule of chains.flatMap((chain) => rules.get(chain) ?? [])) {
      const target = / -[jg] (\S+)/.exec(rule)?.[1] ?? "";
      if (lettingThrough.test(target)) return false;
      if (partly.test(rule) || ofDocker.test(target)) continue;
      if (target === "ACCEPT") return false;
      if (!seen.has(target)) next.push(target);
      seen.add(target);
    }
    chains = next;
  }
  return true;
}

/** Chains that only are where the rules of Services, or of pods' host ports and addresses, are. */
const kinds = [
  { of: "Services", chain: /^:(KUBE-SERVICES|KUBE-SEP-)/m },
  { of: "pods", chain: /^:CNI-/m },
] as const;

/** Of what there are rules in both: that which two kinds of iptables print. */
export function inBoth(one: string, other: string): string[] {
  return kinds.filter(({ chain }) => chain.test(one) && chain.test(other)).map(({ of }) => of);
}

function tableOf(saved: string, name: string): string {
  const from = saved.indexOf(`*${name}\n`);
  const to = saved.indexOf("\nCOMMIT", from);
  return from < 0 ? "" : saved.slice(from, to < 0 ? undefined : to);
}
