// SPDX-License-Identifier: Apache-2.0
import type { RuntimeConditionInit, RuntimeHandlerInit } from "../../gen/cri.gen.ts";
import type { Facade, Verb } from "../facade.ts";

/** Status: whether pods can run here, and what each runtime handler can do. */
export function status(facade: Facade): Verb<"Status"> {
  return (request) => {
    const runtimeHandlers = handlers(facade);
    // A pod with a user namespace may have the node's network wherever it may have one at all.
    const userNamespacesHostNetwork = runtimeHandlers.some((it) => it.features?.userNamespaces);
    return Promise.resolve({
      status: { conditions: conditions(facade) },
      runtimeHandlers,
      features: { supplementalGroupsPolicy: true, userNamespacesHostNetwork },
      info: request.verbose ? describe(facade) : {},
    });
  };
}

function conditions(facade: Facade): RuntimeConditionInit[] {
  const { ready, reason, message } = facade.ports.network.status();
  return [
    { type: "RuntimeReady", status: true },
    ready
      ? { type: "NetworkReady", status: true }
      : { type: "NetworkReady", status: false, reason, message },
  ];
}

/** The default handler also under "": that is where a kubelet looks for a pod without a class. */
function handlers(facade: Facade): RuntimeHandlerInit[] {
  const { config, features } = facade.ports;
  const entry = (name: string, handler: string): RuntimeHandlerInit => {
    const { recursiveReadOnlyMounts, userNamespaces } = features(handler);
    return { name, features: { recursiveReadOnlyMounts, userNamespaces } };
  };
  const names = Object.keys(config.runtime.handlers);
  return [entry("", config.runtime.defaultHandler), ...names.map((name) => entry(name, name))];
}

/** An answer has its bounds; the metric counts all. */
const mostStuckShown = 100;

function describe(facade: Facade): Record<string, string> {
  const { config, memory, network, reloads, remover, specs } = facade.ports;
  const { ready, message } = network.status();
  return {
    config: JSON.stringify(config),
    configReload: JSON.stringify(reloads?.() ?? null),
    cniconfig: JSON.stringify(network.describe() ?? null),
    lastCNILoadStatus: ready ? "OK" : message,
    operations: JSON.stringify(facade.operations.list()),
    memory: JSON.stringify(memory?.() ?? null),
    stuckRemovals: JSON.stringify(remover.stuck.slice(0, mostStuckShown)),
    flawedRuntimes: JSON.stringify(facade.ports.flawedRuntimes?.() ?? []),
    confinement: JSON.stringify(specs.describe()),
  };
}
