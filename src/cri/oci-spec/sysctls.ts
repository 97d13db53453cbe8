// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { CriConfig } from "../../config/config.ts";

const field = "linux.sysctls";
const ipcNames = new Set([
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
]);

export interface PodNamespaces {
  readonly hostNetwork: boolean;
  readonly hostIpc: boolean;
  readonly userNamespace: boolean;
}

/**
 * The sandbox's kernel parameters: the request's, which must belong to a namespace the pod has of
 * its own, over the two defaults that let unprivileged processes bind low ports and ping.
 */
export function sandboxSysctls(
  requested: Readonly<Record<string, string>>,
  pod: PodNamespaces,
  config: Pick<CriConfig, "enableUnprivilegedPorts" | "enableUnprivilegedIcmp">,
): Record<string, string> {
  const sysctls: Record<string, string> = {};
  if (!pod.hostNetwork) {
    if (config.enableUnprivilegedPorts) sysctls["net.ipv4.ip_unprivileged_port_start"] = "0";
    // Writing the range fails inside a user namespace that does not map every group.
    if (config.enableUnprivilegedIcmp && !pod.userNamespace) {
      sysctls["net.ipv4.ping_group_range"] = "0 2147483647";
    }
  }
  for (const [name, value] of Object.entries(requested)) {
    sysctls[accepted(name, pod)] = value;
  }
  return sysctls;
}

function accepted(name: string, pod: PodNamespaces): string {
  // sysctl(8) takes both forms: with slashes, dots belong to the names (net/ipv4/conf/eth0.1/…).
  const dotted = name.indexOf("/") > 0 && !name.slice(0, name.indexOf("/")).includes(".");
  const plain = dotted ? name.replaceAll("/", ".") : name;
  if (!/^[a-z0-9_-]+([./][\w-]+)+$/i.test(plain)) throw invalid(field, `"${name}" is no sysctl`);
  if (plain.startsWith("net.")) {
    if (pod.hostNetwork) throw invalid(field, `"${name}" needs a network of the pod's own`);
    return name;
  }
  if (ipcNames.has(plain) || plain.startsWith("fs.mqueue.")) {
    if (pod.hostIpc) throw invalid(field, `"${name}" needs an IPC namespace of the pod's own`);
    return name;
  }
  if (plain === "kernel.domainname" && !pod.hostNetwork) return name;
  throw invalid(field, `"${name}" is no namespaced sysctl: it would change the whole host`);
}
