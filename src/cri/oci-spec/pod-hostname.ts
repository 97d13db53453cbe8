// SPDX-License-Identifier: Apache-2.0
import type { PodSandboxConfig } from "../../gen/cri.gen.ts";

/**
 * What a pod's containers see as their host's name: the one it asks for, or the node's. A pod in the
 * host's network is in its UTS namespace too and can have none of its own, whatever it asks for.
 */
export function podHostname(config: PodSandboxConfig, nodeName: string): string {
  const isHosts = config.linux?.securityContext?.namespaceOptions?.network === "NODE";
  return isHosts || config.hostname === "" ? nodeName : config.hostname;
}
