// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { NamespaceOption } from "../../gen/cri.gen.ts";
import { userNamespaceSuffix } from "../../network/ports.ts";
import type { OciNamespace } from "../../oci/spec.ts";

const field = "linux.security_context.namespace_options";

/** Which of the host's namespaces the pod shares. */
export interface HostNamespaces {
  readonly network: boolean;
  readonly pid: boolean;
  readonly ipc: boolean;
}

/** Reads the sandbox's options; CONTAINER and TARGET mean nothing at pod level but for pid. */
export function hostNamespaces(options: NamespaceOption | null | undefined): HostNamespaces {
  if (!options) return { network: false, pid: false, ipc: false };
  for (const name of ["network", "ipc"] as const) {
    if (options[name] !== "POD" && options[name] !== "NODE") {
      throw invalid(`${field}.${name}`, `${options[name]} is not supported; use POD or NODE`);
    }
  }
  return {
    network: options.network === "NODE",
    pid: options.pid === "NODE",
    ipc: options.ipc === "NODE",
  };
}

/**
 * Namespaces of the sandbox's init. It makes those the pod has of its own, joins the pinned network,
 * and leaves out those of the host, which it then simply is in. UTS goes with the network.
 */
export function sandboxNamespaces(
  host: HostNamespaces,
  netnsPath: string,
  userNamespace: boolean,
): OciNamespace[] {
  const namespaces: OciNamespace[] = [{ type: "mount" }];
  if (!host.pid) namespaces.push({ type: "pid" });
  if (!host.ipc) namespaces.push({ type: "ipc" });
  if (!host.network) namespaces.push({ type: "uts" }, { type: "network", path: netnsPath });
  if (userNamespace) {
    // The one that owns the network; without such, the OCI runtime makes one.
    namespaces.push(
      netnsPath === ""
        ? { type: "user" }
        : { type: "user", path: `${netnsPath}${userNamespaceSuffix}` },
    );
  }
  return namespaces;
}

export interface ContainerNamespaceOptions {
  readonly sandboxPid: number;
  readonly options: NamespaceOption | null | undefined;
  readonly targetPid: number | undefined;
  readonly userNamespace: boolean;
  readonly cgroupNamespace: boolean;
}

/**
 * Namespaces of a container: the sandbox init's network, IPC and UTS always, also when those are the
 * host's; PID by mode. NODE goes through the sandbox's init too, which then has no PID namespace.
 */
export function containerNamespaces(input: ContainerNamespaceOptions): OciNamespace[] {
  const of = (type: "network" | "ipc" | "uts" | "user", file: string): OciNamespace => ({
    type,
    path: `/proc/${input.sandboxPid}/ns/${file}`,
  });
  const namespaces: OciNamespace[] = [{ type: "mount" }, pidNamespace(input)];
  namespaces.push(of("network", "net"), of("ipc", "ipc"), of("uts", "uts"));
  if (input.userNamespace) namespaces.push(of("user", "user"));
  if (input.cgroupNamespace) namespaces.push({ type: "cgroup" });
  return namespaces;
}

function pidNamespace({ sandboxPid, options, targetPid }: ContainerNamespaceOptions): OciNamespace {
  switch (options?.pid ?? "POD") {
    case "CONTAINER":
      return { type: "pid" };
    case "POD":
    case "NODE":
      return { type: "pid", path: `/proc/${sandboxPid}/ns/pid` };
    case "TARGET":
      if (targetPid === undefined) {
        throw invalid(
          `${field}.target_id`,
          `container "${options?.targetId ?? ""}" is not running in this sandbox`,
        );
      }
      return { type: "pid", path: `/proc/${targetPid}/ns/pid` };
    default:
      throw invalid(`${field}.pid`, `unknown mode "${String(options?.pid)}"`);
  }
}
