// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../../base/errors.ts";
import { listenerOf } from "../../base/os/unix-peer.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok } from "../finding.ts";
import type { Host } from "../host.ts";
import type { Patient } from "../patient.ts";

interface Other {
  readonly name: string;
  readonly process: string;
  /** Where kubeadm looks for it. */
  readonly socket: string;
}

const others: readonly Other[] = [
  { name: "containerd", process: "containerd", socket: "/var/run/containerd/containerd.sock" },
  { name: "CRI-O", process: "crio", socket: "/var/run/crio/crio.sock" },
  { name: "cri-dockerd", process: "cri-dockerd", socket: "/var/run/cri-dockerd.sock" },
  { name: "Docker", process: "dockerd", socket: "" },
];

export const otherRuntimes: Check = {
  name: "others",
  about: "other container runtimes on the node",
  run: async (patient) => {
    const names = new Set((await patient.processes()).map(({ name }) => name));
    const found = others.filter(({ process }) => names.has(process)).map(running);
    const known = await knownToKubeadm(patient);
    if (known.length > 1) found.push(ambiguous(known));
    found.push(...(await ofCrictl(patient)));
    return found.length > 0 ? found : [ok("no other container runtime runs here")];
  },
};

/** Somebody who looks for pods with it is told of another runtime's. */
async function ofCrictl({ host, socket, config, configuration }: Patient): Promise<Finding[]> {
  const file = "/etc/crictl.yaml";
  const text = (await host.text(file).catch(() => "")) ?? "";
  const endpoint = /^(?:runtime|image)-endpoint:\s*["']?(?:unix:\/\/)?(\/[^\s"']+)/m.exec(
    text,
  )?.[1];
  const ours = [socket, ...config.grpc.also].map(canonical);
  if (endpoint === undefined || configuration.isUnread || ours.includes(canonical(endpoint)))
    return [];
  return [
    note({
      what: `crictl is set to ${endpoint} by ${file}, and not to ${socket}`,
      why: "it tells of another runtime's pods and images, or of none",
      mend: `sed -i -E 's#^(runtime|image)-endpoint:.*#\\1-endpoint: unix://${socket}#' ${file}`,
    }),
  ];
}

function canonical(file: string): string {
  return file.replace(/^\/var\/run\//, "/run/");
}

function running({ name, process }: Other): Finding {
  return note({
    what: `${name} runs on this node, too`,
    why: "each has images and a disk share of its own, and neither knows the other's pods; the kubelet uses one",
    mend: `systemctl disable --now ${process}`,
  });
}

/** The sockets among which kubeadm chooses; more than one is an error there. */
async function knownToKubeadm({ host }: Patient): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { socket } of others)
    if (socket !== "" && (await host.stat(socket))?.isSocket() === true && listens(host, socket))
      found.push(socket);
  return found;
}

/** It connects, so that what a killed daemon left does not count. */
function listens(host: Host, socket: string): boolean {
  try {
    return listenerOf(host.at(socket)) !== undefined;
  } catch (thrown) {
    return ["EACCES", "EPERM"].includes(errnoOf(thrown) ?? "");
  }
}

function ambiguous(known: readonly string[]): Finding {
  return error({
    what: `kubeadm finds ${known.length} runtimes: ${known.join(", ")}`,
    why: "kubeadm init, join and upgrade refuse to choose",
    mend: `systemctl disable --now ${known.map((socket) => others.find((one) => one.socket === socket)?.process).join(" ")} # or tell kubeadm: --cri-socket unix:///run/berthd/berthd.sock`,
  });
}
