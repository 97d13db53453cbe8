// SPDX-License-Identifier: Apache-2.0
import { realpath } from "node:fs/promises";
import path from "node:path";
import type { V1Node } from "@kubernetes/client-node";
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { type Ask, isGone } from "./ask.ts";
import { type DrainFlags, refuseObstacles } from "./drain.ts";
import { tryEdit } from "./edit.ts";
import type { Facts } from "./journal.ts";
import { readNodeSetting, type Wanted } from "./node-kind.ts";
import { hasOwnRuntime, type NodeSetting } from "./node-setting.ts";
import { refuseOther } from "./same-machine.ts";
import type { Services } from "./services.ts";

export interface Looking extends Wanted {
  readonly node: string;
  readonly root: string;
  readonly oldService: string | undefined;
  readonly flags: DrainFlags & { readonly noDrain: boolean };
  readonly ask: Ask;
  readonly services: Services;
  readonly whyNotReady: (socket: string, call: Cancellable) => Promise<string | undefined>;
  readonly whyNoAnswer: (socket: string, call: Cancellable) => Promise<string | undefined>;
  readonly cgroupDriverOf: (socket: string, call: Cancellable) => Promise<string | undefined>;
  readonly say: (line: string) => void;
}

/**
 * What a migration begins with. Nothing is changed here, and whatever would stop it later and can be seen now is told
 * now: a fault. undefined where the node uses Berth already.
 */
export async function look(looking: Looking, call: Cancellable): Promise<Facts | undefined> {
  const { node: name, ask, ourEndpoint, flags } = looking;
  const why = await looking.whyNotReady(ourEndpoint, call);
  if (why !== undefined) {
    throw fault(
      "FAILED_PRECONDITION",
      `berthd is not ready on ${ourEndpoint}: ${why}: see berth doctor`,
    );
  }
  const node = await nodeOf(name, ask, call);
  await refuseOther(node, name, looking);
  const missing = await ask("what you may do", (api) => api.missingRights(name), call);
  if (missing.length > 0) {
    throw fault("PERMISSION_DENIED", `the kubeconfig's user may not: ${missing.join(", ")}`);
  }
  const oldRuntime = node.status?.nodeInfo?.containerRuntimeVersion ?? "";
  const { cgroupDriver, ...setting } = await readNodeSetting(looking, looking);
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
  await refuseSilent(setting, looking, call);
  await refuseDriver(cgroupDriver, looking, call);
  const oldService = await oldServiceOf(setting, looking, call);
  await refuseUnknownUnits([setting.service, oldService], looking, call);
  for (const edit of setting.edits) await tryEdit(edit, "after");
  if (!flags.noDrain) {
    refuseObstacles(name, await ask("the node's pods", (api) => api.podsOf(name), call), flags);
  }
  return {
    ...setting,
    oldService,
    node: name,
    ourEndpoint,
    oldRuntime,
    wasCordoned: node.spec?.unschedulable === true,
    annotation: node.metadata?.annotations?.["kubeadm.alpha.kubernetes.io/cri-socket"],
  };
}

async function nodeOf(name: string, ask: Ask, call: Cancellable): Promise<V1Node> {
  try {
    return await ask(`node ${name}`, (api) => api.node(name), call, ["gone"]);
  } catch (error) {
    if (!isGone(error)) throw error;
    throw fault("NOT_FOUND", `there is no node "${name}": kubectl get nodes lists them`, {
      cause: error,
    });
  }
}

/** What of its pods a drain leaves could not be removed. */
async function refuseSilent(
  { oldEndpoint, kind, service }: NodeSetting,
  { whyNoAnswer, services }: Looking,
  call: Cancellable,
): Promise<void> {
  const why = await whyNoAnswer(oldEndpoint, call);
  if (why === undefined) return;
  const start = hasOwnRuntime(kind) ? "start it" : services.spoken(["start", service]);
  throw fault(
    "FAILED_PRECONDITION",
    `the runtime that the kubelet uses does not answer on ${oldEndpoint}: ${why}\nits pods could not be removed: ${start}, or set the kubelet's endpoint to where it is`,
  );
}

/** It is an error of the doctor's, too. */
async function refuseDriver(
  theirs: string | undefined,
  { ourEndpoint, cgroupDriverOf }: Looking,
  call: Cancellable,
): Promise<void> {
  const ours = await cgroupDriverOf(ourEndpoint, call);
  if (theirs === undefined || ours === undefined || theirs === ours) return;
  throw fault(
    "FAILED_PRECONDITION",
    `the kubelet is set to the cgroup driver ${theirs}, and berthd to ${ours}: berth doctor --only cgroups tells what mends it`,
  );
}

/** The service that is to be turned off; what is left on is told. */
async function oldServiceOf(
  { kind, oldService, oldEndpoint }: NodeSetting,
  { oldService: asked, services, say }: Looking,
  call: Cancellable,
): Promise<string | undefined> {
  if (asked !== undefined) return asked;
  if (!hasOwnRuntime(kind)) return undefined;
  if (oldService === undefined) {
    say(
      `note: no known runtime has the socket ${oldEndpoint}: it is left running (--runtime-service names its service)`,
    );
  }
  // Its containers are containerd's.
  if (oldService === "containerd" && (await services.isActive("docker", call))) {
    say("note: containerd is left running, for Docker uses it");
    return undefined;
  }
  return oldService;
}

async function refuseUnknownUnits(
  names: readonly (string | undefined)[],
  { services, say }: Looking,
  call: Cancellable,
): Promise<void> {
  for (const name of names) {
    if (name === undefined) continue;
    const isThere = await services.exists(name, call);
    if (isThere === undefined) say(`note: whether there is a service ${name} cannot be known here`);
    if (isThere !== false) continue;
    throw fault(
      "FAILED_PRECONDITION",
      `there is no unit ${name}.service on this machine${name === names[0] ? "" : ": --runtime-service names that of the other runtime"}`,
    );
  }
}

/** /var/run is a link to /run. */
async function realSocket(file: string): Promise<string> {
  const folder = path.dirname(file);
  return path.join(await realpath(folder).catch(() => folder), path.basename(file));
}
