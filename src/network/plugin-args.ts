// SPDX-License-Identifier: Apache-2.0
import { isIP } from "node:net";
import { fault } from "../base/errors.ts";
import { bandwidthOf } from "./bandwidth.ts";
import type { PluginConf } from "./conf.ts";
import type { PodNetworkRequest, PortMapping } from "./ports.ts";

/** What plugins may ask for in `runtimeConfig`, by capability. */
export type CapabilityArgs = Readonly<Record<string, unknown>>;

/** The `CNI_ARGS` that Kubernetes plugins know, as pairs. INVALID_ARGUMENT for a value that cannot be passed. */
export function cniArgs(request: PodNetworkRequest): string {
  const pairs: readonly (readonly [string, string])[] = [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAMESPACE", request.podNamespace],
    ["K8S_POD_NAME", request.podName],
    ["K8S_POD_INFRA_CONTAINER_ID", request.sandboxId],
    ["K8S_POD_UID", request.podUid],
  ];
  for (const [key, value] of pairs) {
    if (/[;=\0]/.test(value)) {
      throw fault("INVALID_ARGUMENT", `cannot pass ${key} to CNI plugins: "${value}" has ; or =`);
    }
  }
  return pairs.map(([key, value]) => `${key}=${value}`).join(";");
}

/** The capability arguments of a pod, without empty ones. INVALID_ARGUMENT for a bad port or limit. */
export function capabilityArgs(request: PodNetworkRequest): CapabilityArgs {
  const args: Record<string, unknown> = {};
  const ports = request.portMappings.filter(({ hostPort }) => hostPort > 0);
  for (const mapping of ports) checkMapping(mapping);
  if (ports.length > 0) {
    args["portMappings"] = ports.map(({ hostPort, containerPort, protocol, hostIp }) => ({
      hostPort,
      containerPort,
      protocol,
      hostIP: hostIp,
    }));
  }
  const bandwidth = bandwidthOf(request.annotations);
  if (bandwidth !== undefined) args["bandwidth"] = bandwidth;
  const { servers, searches, options } = request.dns;
  if (servers.length + searches.length + options.length > 0) {
    args["dns"] = { servers, searches, options };
  }
  if (request.cgroupPath !== "") args["cgroupPath"] = request.cgroupPath;
  args["io.kubernetes.cri.pod-annotations"] = request.annotations;
  return args;
}

/** portmap refuses such a mapping on DEL as well as on ADD: the pod could never be removed. */
function checkMapping({ containerPort, hostIp, hostPort, protocol }: PortMapping): void {
  if (!["tcp", "udp", "sctp"].includes(protocol)) {
    throw fault("INVALID_ARGUMENT", `port mapping ${hostPort}: no protocol "${protocol}"`);
  }
  for (const port of [hostPort, containerPort]) {
    if (port < 1 || port > 65_535) {
      throw fault(
        "INVALID_ARGUMENT",
        `port mapping ${hostPort} to ${containerPort}: no port ${port}`,
      );
    }
  }
  if (hostIp !== "" && isIP(hostIp) === 0) {
    throw fault("INVALID_ARGUMENT", `port mapping ${hostPort}: host IP "${hostIp}" is no address`);
  }
}

/** The configuration a plugin gets on stdin. */
export function pluginInput(
  network: { readonly name: string; readonly cniVersion: string },
  plugin: PluginConf,
  args: CapabilityArgs,
  prevResult: unknown,
): Record<string, unknown> {
  const wanted = plugin.capabilities.filter((name) => name in args);
  const runtimeConfig = Object.fromEntries(wanted.map((name) => [name, args[name]]));
  return {
    ...plugin.raw,
    name: network.name,
    cniVersion: network.cniVersion,
    ...(wanted.length > 0 ? { runtimeConfig } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
  };
}
