// SPDX-License-Identifier: Apache-2.0
import type {
  PodSandboxInit,
  PodSandboxNetworkStatusInit,
  PodSandboxState,
  PodSandboxStatusInit,
} from "../../gen/cri.gen.ts";
import type { SandboxNetwork, SandboxRecord } from "../store/sandbox-record.ts";

/** The sandbox's state as CRI knows it. */
export function sandboxState({ state }: SandboxRecord): PodSandboxState {
  return state.kind === "ready" ? "SANDBOX_READY" : "SANDBOX_NOTREADY";
}

/** The sandbox as ListPodSandbox shows it. */
export function toPodSandbox(record: SandboxRecord): PodSandboxInit {
  const { config } = record;
  return {
    id: record.id,
    metadata: config.metadata,
    state: sandboxState(record),
    createdAt: record.createdAtNanos,
    labels: config.labels,
    annotations: config.annotations,
    runtimeHandler: record.runtimeHandler,
  };
}

/** The sandbox as PodSandboxStatus shows it. */
export function toPodSandboxStatus(record: SandboxRecord): PodSandboxStatusInit {
  const options = record.config.linux?.securityContext?.namespaceOptions ?? {};
  return {
    ...toPodSandbox(record),
    network: networkStatus(record.network),
    linux: { namespaces: { options } },
  };
}

/** A pod in the node's network has no address of its own, nor has one whose network is gone. */
function networkStatus(network: SandboxNetwork): PodSandboxNetworkStatusInit {
  if (network.kind !== "up") return {};
  return { ip: network.ip, additionalIps: network.additionalIps.map((ip) => ({ ip })) };
}
