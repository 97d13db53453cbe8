// SPDX-License-Identifier: Apache-2.0
import type { RuntimeConditionInit, RuntimeHandlerInit } from "../../gen/cri.gen.ts";
import { handlerFor } from "../handlers/handlers.ts";
import { basicMountOptions } from "../oci-spec/mount-options.ts";
import type { RuntimeFeatures } from "../oci-spec/ports.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<
  CriParts,
  | "cluster"
  | "config"
  | "defaultRuntime"
  | "features"
  | "flawedRuntimes"
  | "hostFacts"
  | "lostSockets"
  | "memory"
  | "metadata"
  | "network"
  | "nri"
  | "operations"
  | "reloads"
  | "remover"
  | "specs"
>;

/** Status: whether pods can run here, and what each runtime handler can do. */
export function status(parts: Needs): Verb<"Status"> {
  return (request) => {
    const runtimeHandlers = handlers(parts);
    const allHandlers = Object.keys(parts.config.runtime.handlers);
    // A pod may have any of them.
    const mountOptions = [
      ...allHandlers.map((handler) => parts.features(handler)),
      ...(parts.defaultRuntime ? [parts.defaultRuntime.current().features] : []),
    ].every(setsMountOptions);
    // A pod with a user namespace may have the node's network wherever it may have one at all.
    const userNamespacesHostNetwork = runtimeHandlers.some((it) => it.features?.userNamespaces);
    return Promise.resolve({
      status: { conditions: conditions(parts) },
      runtimeHandlers,
      features: {
        supplementalGroupsPolicy: true,
        userNamespacesHostNetwork,
        mountOptions,
        // What a host cannot have is refused for its own reason.
        cgroupMountMode: true,
        seccompProfileOci: true,
      },
      info: request.verbose ? describe(parts) : {},
    });
  };
}

/** Those that Kubernetes has. */
function setsMountOptions({ mountOptions }: RuntimeFeatures): boolean {
  return basicMountOptions.every((option) => mountOptions.includes(option));
}

/** Without its records the runtime can start nothing and remove nothing: the node is to get no more pods. */
function conditions({
  metadata,
  network,
}: Pick<Needs, "metadata" | "network">): RuntimeConditionInit[] {
  const { ready, reason, message } = network.status();
  return [
    metadata.harm === undefined
      ? { type: "RuntimeReady", status: true }
      : { type: "RuntimeReady", status: false, reason: "NothingStored", message: metadata.harm },
    ready
      ? { type: "NetworkReady", status: true }
      : { type: "NetworkReady", status: false, reason, message },
  ];
}

/** The default handler also under "": that is where a kubelet looks for a pod without a class. */
function handlers({
  config,
  defaultRuntime,
  features,
  hostFacts,
}: Pick<Needs, "config" | "defaultRuntime" | "features" | "hostFacts">): RuntimeHandlerInit[] {
  const entry = (name: string, all: RuntimeFeatures): RuntimeHandlerInit => {
    const { recursiveReadOnlyMounts, userNamespaces, ...of } = all;
    const cgroupNamespaces = of.cgroupNamespaces && hostFacts.cgroupNamespaces;
    return { name, features: { recursiveReadOnlyMounts, userNamespaces, cgroupNamespaces } };
  };
  const names = Object.keys(config.runtime.handlers);
  const usual = defaultRuntime?.current().features ?? features(handlerFor(config.runtime, "").name);
  return [entry("", usual), ...names.map((name) => entry(name, features(name)))];
}

/** An answer has its bounds; the metric counts all. */
const mostStuckShown = 100;

function describe(parts: Needs): Record<string, string> {
  const { cluster, config, memory, network, reloads, remover, specs } = parts;
  const { ready, message } = network.status();
  return {
    config: JSON.stringify({ ...config, ...containerdNames(config) }),
    configReload: JSON.stringify(reloads?.() ?? null),
    cniconfig: JSON.stringify(network.describe() ?? null),
    lastCNILoadStatus: ready ? "OK" : message,
    operations: JSON.stringify(parts.operations.list()),
    cluster: JSON.stringify(cluster?.() ?? null),
    memory: JSON.stringify(memory?.() ?? null),
    stuckRemovals: JSON.stringify(remover.stuck.slice(0, mostStuckShown)),
    lostSockets: JSON.stringify(parts.lostSockets?.() ?? []),
    missingNriPlugins: JSON.stringify(parts.nri.missing()),
    defaultRuntime: JSON.stringify(parts.defaultRuntime?.describe() ?? null),
    flawedRuntimes: JSON.stringify(parts.flawedRuntimes?.() ?? []),
    confinement: JSON.stringify(specs.describe()),
  };
}

/** What clients look for in `config` under the names that containerd's CRI gives it there. */
function containerdNames({ root, state, grpc, cri }: Needs["config"]): Record<string, unknown> {
  return {
    rootDir: root,
    stateDir: state,
    containerdRootDir: root,
    containerdEndpoint: grpc.address,
    maxContainerLogLineSize: cri.maxContainerLogLineSize,
  };
}
