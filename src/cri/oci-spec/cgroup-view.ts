// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { invalid, unsupported } from "../../base/invalid-field.ts";
import { isRuncType } from "../../config/runc-options.ts";
import type { ContainerSpecInput, SpecServices } from "./ports.ts";

const place = "/sys/fs/cgroup";
const security = "linux.security_context";
const modeField = `${security}.cgroup_mount_mode`;
const namespaceField = `${security}.namespace_options.cgroupns_options.mode`;

/** How a container sees the cgroup tree. */
export interface CgroupView {
  /** It has a cgroup namespace of its own, in which its cgroup is the root. */
  readonly ownNamespace: boolean;
  readonly writable: boolean;
  /**
   * The host's mount of the tree is bound, instead of mounted anew: that would take nsdelegate from it, when
   * done in the host's cgroup namespace. Only for runc's kind of runtime: a virtual machine has its own tree.
   */
  readonly bound: boolean;
}

type ViewInput = Pick<ContainerSpecInput, "config" | "features" | "handler" | "host">;

/**
 * What the request says of it (KEP-5474 and KEP-5714), or what this runtime has by default: on cgroup v2 a
 * namespace, unless privileged, and a tree that is read-only, unless privileged or by the handler.
 * INVALID_ARGUMENT for what contradicts, FAILED_PRECONDITION for what this host or handler cannot do.
 */
export async function cgroupView(
  input: ViewInput,
  services: Pick<SpecServices, "delegatesCgroups">,
): Promise<CgroupView> {
  const ownNamespace = hasOwnNamespace(input);
  const writable = await isWritable(input, services);
  const bound = !ownNamespace && input.host.cgroupVersion === 2 && isRuncType(input.handler.type);
  return { ownNamespace, writable, bound };
}

function hasOwnNamespace({ config, features, host }: ViewInput): boolean {
  const context = config.linux?.securityContext;
  const asked = context?.namespaceOptions?.cgroupnsOptions;
  if (!asked) return host.cgroupVersion === 2 && context?.privileged !== true;
  switch (asked.mode) {
    case "NODE":
      return false;
    case "CONTAINER":
      if (host.cgroupNamespaces && features.cgroupNamespaces) return true;
      throw unsupported(namespaceField, "the runtime handler cannot make cgroup namespaces");
    default:
      throw invalid(namespaceField, `${asked.mode} is not supported; use CONTAINER or NODE`);
  }
}

async function isWritable(
  { config, handler, host }: ViewInput,
  services: Pick<SpecServices, "delegatesCgroups">,
): Promise<boolean> {
  const context = config.linux?.securityContext;
  const privileged = context?.privileged === true;
  const mode = context?.cgroupMountMode ?? "CGROUP_MOUNT_MODE_UNSPECIFIED";
  if (mode !== "CGROUP_MOUNT_MODE_UNSPECIFIED") refuseCover(config.mounts, mode);
  switch (mode) {
    case "CGROUP_MOUNT_MODE_UNSPECIFIED":
      return privileged || (handler.cgroupWritable && host.cgroupVersion === 2);
    case "CGROUP_MOUNT_MODE_READ_ONLY":
      if (!privileged) return false;
      throw invalid(modeField, `${mode} cannot be: the container is privileged`);
    case "CGROUP_MOUNT_MODE_READ_WRITE":
      if (!privileged && context?.namespaceOptions?.cgroupnsOptions?.mode === "NODE") {
        throw invalid(modeField, `${mode} cannot be in the node's cgroup namespace`);
      }
      if (host.cgroupVersion !== 2) throw unsupported(modeField, `${mode} needs cgroup v2`);
      if (await services.delegatesCgroups()) return true;
      // Without it a container could lift its own limits.
      throw unsupported(modeField, `${mode} needs ${place} mounted with nsdelegate`);
    default:
      throw invalid(modeField, `unknown mode "${String(mode)}"`);
  }
}

/** A mount of the request's over the tree would have its own way. */
function refuseCover(mounts: ViewInput["config"]["mounts"], mode: string): void {
  for (const [index, { containerPath }] of mounts.entries()) {
    const destination = path.posix.resolve("/", containerPath);
    if (destination !== place && !place.startsWith(destination.replace(/\/?$/, "/"))) continue;
    throw invalid(
      `mounts[${index}].container_path`,
      `"${containerPath}" covers ${place}, for which ${modeField} asks ${mode}`,
    );
  }
}
