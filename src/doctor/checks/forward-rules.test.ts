// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { dropsForwarded, inBoth } from "./forward-rules.ts";

/** As iptables-save prints it, beside another table. */
function saved(policy: string, ...rules: readonly string[]): string {
  const filter = ["*filter", ":INPUT ACCEPT [0:0]", `:FORWARD ${policy} [0:0]`, ...rules, "COMMIT"];
  const nat = ["*nat", ":POSTROUTING ACCEPT [0:0]", "-A FORWARD -j ACCEPT", "COMMIT"];
  return ["# Generated", ...filter, ...nat, ""].join("\n");
}

const docker = [
  "-A FORWARD -j DOCKER-USER",
  "-A FORWARD -j DOCKER-FORWARD",
  "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "-A FORWARD -o docker0 -j DOCKER",
  "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
  "-A FORWARD -i br-0123456789ab -o br-0123456789ab -j ACCEPT",
  "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT",
  "-A DOCKER-FORWARD -j ACCEPT",
];
const ufw = [
  "-A FORWARD -j ufw-before-forward",
  "-A FORWARD -j ufw-after-forward",
  "-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT",
  "-A ufw-before-forward -j ufw-user-forward",
];
const kubeProxy = [
  '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
  "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
];

test("FORWARD drops pods' packets where no rule of it or of chains it jumps to takes them", () => {
  for (const [text, drops] of [
    [saved("DROP"), true],
    [saved("ACCEPT"), false],
    ["", false],
    [saved("DROP", ...docker, ...kubeProxy), true],
    [saved("DROP", ...ufw), true],
    [saved("DROP", "-A FORWARD -j LIBVIRT_FWO", "-A LIBVIRT_FWO -i virbr0 -j ACCEPT"), true],
    [saved("DROP", "-A OTHER -j ACCEPT"), true],
    [saved("DROP", "-A FORWARD -i cni0 -j ACCEPT"), false],
    [saved("DROP", "-A FORWARD -s 10.99.0.0/16 -j ACCEPT"), false],
    [saved("DROP", ...docker, "-A DOCKER-USER -i cni0 -j ACCEPT"), false],
    [saved("DROP", ...ufw, "-A ufw-user-forward -i cni0 -j ACCEPT"), false],
    [saved("DROP", "-A FORWARD -g MINE", "-A MINE -j ACCEPT"), false],
    [saved("DROP", "-A FORWARD -j cali-FORWARD"), false],
    [saved("DROP", "-A FORWARD -j MINE", "-A MINE -j CNI-FORWARD"), false],
    // A circle, which iptables would not take.
    [saved("DROP", "-A FORWARD -j A", "-A A -j B", "-A B -j A"), true],
  ] as const)
    assert.equal(dropsForwarded(text), drops, text);
});

test("rules are in both kinds of iptables where the same are", () => {
  const services = "*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n";
  const ports = "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\nCOMMIT\n";
  const one = "*nat\n:CNI-0123456789abcdef01234567 - [0:0]\nCOMMIT\n";
  for (const [legacy, nft, both] of [
    [services, services, ["Services"]],
    [ports, one, ["pods"]],
    // A healthy node whose kube-proxy has brought an iptables of its own.
    [ports, services, []],
    [services, ports, []],
    [services, "*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n", []],
    [services + ports, ports + services, ["Services", "pods"]],
    ["", services, []],
  ] as const)
    assert.deepEqual(inBoth(legacy, nft), both);
});
