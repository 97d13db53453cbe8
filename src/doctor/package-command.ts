// SPDX-License-Identifier: Apache-2.0
import type { Host } from "./host.ts";

/** What a package brings that may be missing or damaged. */
export type Packaged =
  | "shim"
  | "cni"
  | "runc"
  | "crun"
  | "chrony"
  | "iptables"
  | "nft"
  | "apparmor";

const packages: Readonly<Record<Packaged, string>> = {
  shim: "containerd",
  cni: "containernetworking-plugins",
  runc: "runc",
  crun: "crun",
  chrony: "chrony",
  iptables: "iptables",
  nft: "nftables",
  apparmor: "apparmor",
};

/** The command of the node's distribution that brings it, also where the package is installed and its files are not whole. */
export async function packageCommand(host: Host, what: Packaged): Promise<string> {
  const name = packages[what];
  const release = (await host.value("/etc/os-release")) ?? "";
  const like = [...release.matchAll(/^ID(?:_LIKE)?=(.*)$/gm)].map(([, ids]) => ids).join(" ");
  if (/fedora|rhel|centos/.test(like)) return `dnf reinstall -y ${name} || dnf install -y ${name}`;
  if (/suse/.test(like)) return `zypper --non-interactive install -f ${name}`;
  if (what !== "shim") return `apt-get install -y --reinstall ${name}`;
  const list = (one: string): Promise<boolean> => host.has(`/var/lib/dpkg/info/${one}.list`);
  // Docker's package has the shim as well, and Debian's cannot be beside it.
  if (await list("containerd.io")) return "apt-get install -y --reinstall containerd.io";
  const install = `apt-get install -y --reinstall ${name}`;
  return (await list(name)) ? install : `${install} && systemctl disable --now containerd`;
}
