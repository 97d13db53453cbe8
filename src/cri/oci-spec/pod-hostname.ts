// SPDX-License-Identifier: Apache-2.0
import { invalid } from "../../base/invalid-field.ts";
import type { PodSandboxConfig } from "../../gen/cri.gen.ts";

/**
 * What a pod's containers see as their host's name: the one it asks for, or the node's. A pod in the host's network
 * is in its UTS namespace too and has the node's.
 */
export function podHostname(config: PodSandboxConfig, nodeName: string): string {
  return isHosts(config) || config.hostname === "" ? nodeName : config.hostname;
}

/**
 * INVALID_ARGUMENT for a pod in the host's network that asks for another name than the node's, as OCI runtimes have it.
 * A kubelet sends none for such a pod.
 */
export function checkHostname(config: PodSandboxConfig, nodeName: string): void {
  if (!isHosts(config) || config.hostname === "" || config.hostname === nodeName) return;
  throw invalid(
    "hostname",
    `"${config.hostname}": a pod in the node's network has the node's name`,
  );
}

function isHosts({ linux }: PodSandboxConfig): boolean {
  return linux?.securityContext?.namespaceOptions?.network === "NODE";
}
