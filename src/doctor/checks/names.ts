// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from "node:crypto";
import { readlink } from "node:fs/promises";
import path from "node:path";
import { shellWord } from "../../base/shell-word.ts";
import type { Check } from "../check.ts";
import { type KubeletFacts, pathOf } from "../facts/kubelet.ts";
import { flagOf } from "../facts/processes.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";
import { clientCertificate } from "./kubelet-conf.ts";
import { inFlags } from "./kubelet-flags.ts";
import { setKey } from "./kubelet-key.ts";

const usual = "/etc/resolv.conf";
/** What systemd-resolved knows itself; what it writes for programs names a server on the loopback. */
const upstream = "/run/systemd/resolve/resolv.conf";
const stub = "/run/systemd/resolve/stub-resolv.conf";
const better = "/etc/kubernetes/resolv.conf";
/** By which a kubelet that has joined is known. */
const usualConf = "/etc/kubernetes/kubelet.conf";
const usualCertificate = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const mostLinks = 4;
/** A name as Kubernetes has it: parts of lower-case letters, digits and dashes. */
const nodeName = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

export const names: Check = {
  name: "names",
  about: "name servers of node and pods, the node's name and its machine-id",
  run: async (patient) => {
    const { host } = patient;
    const kubelet = await patient.kubelet();
    const found = await ofNode(host);
    if (kubelet !== undefined && kubelet.problems.length === 0)
      found.push(
        ...(await ofPods(host, kubelet)),
        ...(await ofName(host, kubelet)),
        ...(await ofCertificate(host, kubelet)),
        ...(await ofMachine(host)),
      );
    return found.length > 0 ? found : [ok("there are name servers, and the node has its names")];
  },
};

async function ofNode(host: Host): Promise<Finding[]> {
  const servers = await serversIn(host, usual);
  if (servers !== undefined && servers.length > 0) return [];
  const is = servers === undefined ? `there is no ${usual}` : `${usual} names no server`;
  return [
    warning({
      what: `${is}: the node has no name server`,
      why: "registries are not found by their names, and pods that take the node's servers, as the cluster's DNS does, get none",
      mend: (await host.has(stub))
        ? `ln -sf ${stub} ${usual}`
        : `echo 'nameserver ADDRESS' >>${usual} # the address of your network's`,
    }),
  ];
}

async function ofPods(host: Host, kubelet: KubeletFacts): Promise<Finding[]> {
  // It may be told to give pods none.
  if (kubelet.settings["resolvConf"] === "" || flagOf(kubelet.flags, "resolv-conf") === "")
    return [];
  const { resolvConf } = kubelet.settings;
  const isSet =
    typeof resolvConf === "string" || flagOf(kubelet.flags, "resolv-conf") !== undefined;
  const file = isSet ? pathOf(kubelet, "resolv-conf", resolvConf) : usual;
  if (file === undefined) return [];
  const servers = await serversIn(host, file);
  const own = (await serversIn(host, upstream))?.some((one) => !isLoopback(one)) === true;
  if (servers === undefined && file !== usual) {
    const why = "no pod can be started: the kubelet reads it for each of them";
    const mend = await setFile(host, own ? upstream : usual, kubelet);
    return [error({ what: `the kubelet's resolvConf, ${file}, is not there`, why, mend })];
  }
  if (servers === undefined || !servers.some(isLoopback)) return [];
  const made = await setFile(host, better, kubelet);
  return [
    warning({
      what: `the kubelet gives pods the name server ${servers.find(isLoopback)} of ${file}`,
      why: "in a pod that is the pod itself: pods that take the node's servers find no names, and the cluster's DNS asks itself and ends (`Loop detected`)",
      mend: own
        ? await setFile(host, upstream, kubelet)
        : `echo 'nameserver ADDRESS' >${better} ${made.startsWith("#") ? made : `&& ${made} # ADDRESS: that of your network's`}`,
    }),
  ];
}

async function setFile(host: Host, to: string, kubelet: KubeletFacts): Promise<string> {
  return flagOf(kubelet.flags, "resolv-conf") === undefined
    ? setKey(host, kubelet, "resolvConf", to)
    : inFlags(`s#(--resolv-conf[= ])[^ "]*#\\1${to}#`, "--resolv-conf", kubelet);
}

/** What the kubelet calls the node, and the flag that it is told so by. */
async function nameOf(
  host: Host,
  { flags }: KubeletFacts,
): Promise<{ readonly name: string; readonly given: string | undefined }> {
  const given = flagOf(flags, "hostname-override");
  const name = given ?? (await host.value("/proc/sys/kernel/hostname")) ?? "";
  return { name: name.toLowerCase(), given };
}

async function ofName(host: Host, kubelet: KubeletFacts): Promise<Finding[]> {
  const { name, given } = await nameOf(host, kubelet);
  if (name === "") return [];
  const isNobodys = /^localhost(\.localdomain)?$/.test(name);
  if (nodeName.test(name) && !isNobodys) return [];
  const conf = flagOf(kubelet.flags, "kubeconfig") ?? usualConf;
  const hasJoined = await host.has(conf);
  const to = isNobodys ? "NAME" : nameLike(name);
  const byFlag = inFlags(
    `s#(--hostname-override[= ])[^ "]*#\\1${to}#`,
    "--hostname-override",
    kubelet,
  );
  const byHost = `hostnamectl set-hostname ${to} && systemctl restart kubelet`;
  const change = given === undefined ? byHost : byFlag;
  const mend = hasJoined
    ? anew(to)
    : `${change}${isNobodys ? " # NAME: one that no other node has" : ""}`;
  if (isNobodys) {
    const why = "all nodes that are called so are one and the same to the API server";
    // One that is alone in its cluster can be called so.
    return [(hasJoined ? note : warning)({ what: `the node is called ${name}`, why, mend })];
  }
  const why = "the API server refuses a node of that name, and the kubelet's pods with it";
  return [error({ what: `${name} is no name for a node`, why, mend })];
}

/** A node that is called otherwise than when it joined. */
async function ofCertificate(host: Host, kubelet: KubeletFacts): Promise<Finding[]> {
  const { name, given } = await nameOf(host, kubelet);
  const own = await clientCertificate(host, kubelet.flags).catch(() => undefined);
  const text = own?.held ?? (await host.text(own?.file ?? usualCertificate).catch(() => undefined));
  const [first = ""] =
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text ?? "") ?? [];
  const joinedAs = nodeIn(first);
  // Some clouds give nodes names of their own, which the kubelet is told of in another way.
  const isClouds = (flagOf(kubelet.flags, "cloud-provider") ?? "") !== "";
  if (name === "" || joinedAs === undefined || joinedAs === name || isClouds) return [];
  return [
    error({
      what: `the kubelet calls the node ${name}, and its certificate is for ${joinedAs}`,
      why: "the API server takes nothing from it for a node of another name: the node becomes NotReady",
      mend:
        given === undefined
          ? `hostnamectl set-hostname ${shellWord(joinedAs)} && systemctl restart kubelet`
          : inFlags(
              `s#(--hostname-override[= ])[^ "]*#\\1${joinedAs}#`,
              "--hostname-override",
              kubelet,
            ),
    }),
  ];
}

function nodeIn(certificate: string): string | undefined {
  try {
    const { subject } = new X509Certificate(certificate);
    return /^CN=system:node:(\S+)$/m.exec(subject)?.[1];
  } catch {
    return undefined;
  }
}

/** The API server knows a node by the name in its certificate, and takes no other one from it. */
function anew(to: string): string {
  return `# the kubelet's certificate is for the name that the node joined by: give it that one back, or have it join anew as ${to}: kubectl drain and delete node, here kubeadm reset, the other name (hostnamectl, or the kubelet's --hostname-override), kubeadm join`;
}

function nameLike(name: string): string {
  const like = name
    .replaceAll(/[^-a-z0-9.]+/g, "-")
    .split(".")
    .map((part) => part.replaceAll(/^-+|-+$/g, ""))
    .filter((part) => part !== "")
    .join(".");
  return nodeName.test(like) ? like : "NAME";
}

async function ofMachine(host: Host): Promise<Finding[]> {
  for (const file of ["/etc/machine-id", "/var/lib/dbus/machine-id"]) {
    const text = await host.text(await followed(host, file)).catch(() => "");
    if (/^[0-9a-f]{32}\s*$/.test(text ?? "")) return [];
  }
  return [
    warning({
      what: "the node has no machine-id",
      why: "the kubelet tells none of the node: monitoring and network add-ons that know nodes by it take several for one; journald writes no log",
      mend: "tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id && systemctl restart kubelet",
    }),
  ];
}

/** undefined where there is no such file. */
async function serversIn(host: Host, file: string): Promise<readonly string[] | undefined> {
  const place = await followed(host, file);
  if (!(await host.has(place))) return undefined;
  const text = (await host.text(place).catch(() => "")) ?? ""; // a device in its place names none
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server = ""]) => server);
}

/** Links lead through the node's own folders, wherever these are to us. */
async function followed(host: Host, file: string): Promise<string> {
  let at = file;
  for (let links = 0; links < mostLinks; links += 1) {
    const target = await readlink(host.at(at)).catch(() => undefined);
    if (target === undefined) return at;
    at = path.resolve(path.dirname(at), target);
  }
  return at;
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
