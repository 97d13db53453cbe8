// SPDX-License-Identifier: Apache-2.0
import { realpath } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import path from "node:path";
import type { V1Node } from "@kubernetes/client-node";
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { readStart } from "../base/read-bounded.ts";
import type { Ask } from "./ask.ts";
import { type DrainFlags, obstacles } from "./drain.ts";
import { tryEdit } from "./edit.ts";
import type { Facts } from "./journal.ts";
import { type NodeSetting, readNodeSetting, type Wanted } from "./node-kind.ts";
import type { Services } from "./services.ts";

export interface Looking extends Wanted {
  readonly node: string;
  readonly root: string;
  readonly oldService: string | undefined;
  readonly flags: DrainFlags & { readonly noDrain: boolean };
  readonly ask: Ask;
  readonly services: Services;
  readonly whyNotReady: (socket: string, call: Cancellable) => Promise<string | undefined>;
}

/**
 * What a migration begins with. Nothing is changed here, and whatever would stop it later and can be seen now is told
 * now: a fault. undefined where the node uses Berth already.
 */
export async function look(looking: Looking, call: Cancellable): Promise<Facts | undefined> {
  const { node: name, ask, ourEndpoint, flags, services } = looking;
  const why = await looking.whyNotReady(ourEndpoint, call);
  if (why !== undefined) {
    throw fault(
      "FAILED_PRECONDITION",
      `berthd is not ready on ${ourEndpoint}: ${why}: see berth doctor`,
    );
  }
  const node = await ask(`node ${name}`, (api) => api.node(name), call);
  await refuseOther(node, name);
  const missing = await ask("what you may do", (api) => api.missingRights(name), call);
  if (missing.length > 0) {
    throw fault("PERMISSION_DENIED", `the kubeconfig's user may not: ${missing.join(", ")}`);
  }
  const oldRuntime = node.status?.nodeInfo?.containerRuntimeVersion ?? "";
  const setting = await readNodeSetting(looking, looking);
  const isOurs = (await realSocket(setting.oldEndpoint)) === (await realSocket(ourEndpoint));
  if (!isOurs && oldRuntime.startsWith("berth://")) {
    throw fault(
      "FAILED_PRECONDITION",
      `${name} tells ${oldRuntime} already, and the kubelet's endpoint is set to ${setting.oldEndpoint}: restart the kubelet, and see berth doctor --only kubelet`,
    );
  }
  if (isOurs) {
    if (oldRuntime.startsWith("berth://")) return undefined;
    throw fault(
      "FAILED_PRECONDITION",
      `the kubelet's endpoint is ${ourEndpoint} already, and ${name} tells ${oldRuntime || "no runtime"}: start the kubelet, and see berth doctor --only kubelet`,
    );
  }
  for (const edit of setting.edits) await tryEdit(edit);
  if (!flags.noDrain) {
    const found = obstacles(await ask("the node's pods", (api) => api.podsOf(name), call), flags);
    if (found.length > 0) {
      throw fault("FAILED_PRECONDITION", `${name} cannot be drained:\n${found.join("\n")}`);
    }
  }
  return {
    ...setting,
    oldService: await oldServiceOf(setting, looking, call),
    node: name,
    ourEndpoint,
    oldRuntime,
    wasCordoned: node.spec?.unschedulable === true,
    annotation: node.metadata?.annotations?.["kubeadm.alpha.kubernetes.io/cri-socket"],
  };

  async function oldServiceOf(
    { kind, oldService }: NodeSetting,
    { oldService: asked }: Looking,
    given: Cancellable,
  ): Promise<string | undefined> {
    if (asked !== undefined) return asked;
    // Its containers are containerd's.
    if (oldService === "containerd" && (await services.isActive("docker", given))) return undefined;
    return kind === "kubelet" ? oldService : undefined;
  }
}

/** /var/run is a link to /run. */
async function realSocket(file: string): Promise<string> {
  const folder = path.dirname(file);
  return path.join(await realpath(folder).catch(() => folder), path.basename(file));
}

/** It is another machine that would be cordoned, and this one's kubelet that would be stopped. */
async function refuseOther({ status }: V1Node, name: string): Promise<void> {
  const boot = (await readStart("/proc/sys/kernel/random/boot_id", 64)).toString().trim();
  const told = status?.nodeInfo?.bootID;
  const here = new Set(
    Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
  );
  const addresses = (status?.addresses ?? []).filter(({ type }) => type === "InternalIP");
  const isHere = addresses.length === 0 || addresses.some(({ address }) => here.has(address));
  if ((told === undefined || told === "" || told === boot) && isHere) return;
  const which = addresses.map(({ address }) => address).join(", ");
  throw fault(
    "FAILED_PRECONDITION",
    `node ${name} is not this machine (${which || told}): run berth migrate on it`,
  );
}
