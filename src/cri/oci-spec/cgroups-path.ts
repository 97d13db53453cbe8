// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { invalid } from "../../base/invalid-field.ts";

/**
 * The scope prefix of systemd cgroups. Node agents find container ids in cgroup names by this very
 * prefix (`cri-containerd-<id>.scope`), so it is part of the interface.
 */
const scopePrefix = "cri-containerd";

/**
 * `linux.cgroupsPath`. runc with systemd cgroups wants `slice:prefix:name` and dies on anything else,
 * with cgroupfs it takes a plain path and would make a folder with literal colons of the other form;
 * so the form follows the handler's driver, and a parent that the driver cannot use is refused here.
 */
export function cgroupsPath(parent: string, id: string, systemdCgroup: boolean): string {
  if (parent.split("/").includes("..")) {
    throw invalid("linux.cgroup_parent", `"${parent}" climbs out of its hierarchy`);
  }
  if (!systemdCgroup) return path.posix.join("/", parent === "" ? "k8s.io" : parent, id);
  const slice = path.posix.basename(parent);
  if (parent !== "" && !slice.endsWith(".slice")) {
    throw invalid(
      "linux.cgroup_parent",
      `"${parent}" is no slice, and the runtime handler uses systemd cgroups; ` +
        "the kubelet's cgroupDriver must be systemd too",
    );
  }
  return `${slice}:${scopePrefix}:${id}`;
}
