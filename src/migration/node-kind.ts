// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { readKubelet } from "../doctor/facts/kubelet.ts";
import { hostProcesses } from "../doctor/facts/processes.ts";
import { readUnit } from "../doctor/facts/unit.ts";
import { Host } from "../doctor/host.ts";
import { distributionSetting } from "./distributions.ts";
import { changedText, hasPlace, textOf } from "./edit.ts";
import { kubeletSetting } from "./kubelet-setting.ts";
import type { NodeKind, NodeSetting } from "./node-setting.ts";

export interface Wanted {
  /** Found out when it is left out. */
  readonly kind?: NodeKind | undefined;
  /** The path of Berth's socket. */
  readonly ourEndpoint: string;
}

/** Where distributions keep things. In tests it is another folder than "". */
export interface Places {
  readonly root: string;
}

const units = {
  k3s: ["k3s", "k3s-agent"],
  rke2: ["rke2-server", "rke2-agent"],
  k0s: ["k0sworker", "k0scontroller"],
  microk8s: ["snap.microk8s.daemon-kubelite", "snap.microk8s.daemon-kubelet"],
} as const;
/** Names of what they run, as the kernel has them. */
const programs = {
  k3s: ["k3s", "k3s-server", "k3s-agent"],
  rke2: ["rke2"],
  k0s: ["k0s"],
  microk8s: ["kubelite"],
} as const;

export async function readNodeSetting(wanted: Wanted, { root }: Places): Promise<NodeSetting> {
  const { kind: asked, ourEndpoint } = wanted;
  const host = new Host(root);
  const processes = await hostProcesses(host);
  const running = new Set(processes.map(({ name }) => name));
  for (const kind of ["k3s", "rke2", "k0s", "microk8s"] as const) {
    if (asked !== undefined && asked !== kind) continue;
    // A unit may be left over. k0s has a process of the name "kubelet" itself.
    const isLeft = running.has("kubelet") && !programs[kind].some((name) => running.has(name));
    if (asked === undefined && isLeft) continue;
    for (const service of units[kind]) {
      const unit = await readUnit(host, service);
      if (unit.files.length === 0) continue;
      return distributionSetting({ kind, service, unit, root, ourEndpoint });
    }
    if (asked === kind) {
      throw fault("NOT_FOUND", `there is no unit ${units[kind].join(" or ")} on this machine`);
    }
  }
  return kubeletSetting(ourEndpoint, root, await readKubelet(host, processes));
}

/** Whether the files say that the node uses Berth already. */
export async function isSet({ edits }: Pick<NodeSetting, "edits">): Promise<boolean> {
  for (const edit of edits) {
    if (!(await hasPlace(edit))) return false;
    const text = await textOf(edit.file);
    if (changedText(edit, text, edit.after) !== text) return false;
  }
  return true;
}
