// SPDX-License-Identifier: Apache-2.0

import type { ContainerConfig } from "../../gen/cri.gen.ts";
import { boundCgroups, cgroupMount } from "../../oci/default-mounts.ts";
import type { OciMount, OciSpec } from "../../oci/spec.ts";
import type { CgroupView } from "./cgroup-view.ts";
import {
  firstClaims,
  mergeMounts,
  sandboxFileMounts,
  sharedMemoryMount,
} from "./container-mounts.ts";
import { rootfsPropagation } from "./mount-propagation.ts";
import { hostNamespaces } from "./namespaces.ts";
import type { ContainerSpecInput } from "./ports.ts";
import { requestedMounts } from "./requested-mounts.ts";
import type { UserMappings } from "./user-namespace.ts";
import { imageVolumes } from "./volumes.ts";

/** What decides the mounts of kernel file systems. */
interface ContainerViews {
  readonly mappings: UserMappings | undefined;
  readonly cgroups: CgroupView;
}

/**
 * Fills in the mounts of a container: the base spec's kernel file systems, then, parents first, the
 * request's mounts, the sandbox's files and the image's volumes, of which the first named here wins
 * a place that several want.
 */
export async function addContainerMounts(
  spec: OciSpec,
  input: ContainerSpecInput,
  { mappings, cgroups }: ContainerViews,
): Promise<void> {
  const { config, sandbox, cri } = input;
  const security = config.linux?.securityContext;
  const pod = hostNamespaces(sandbox.config.linux?.securityContext?.namespaceOptions);
  const requested = await requestedMounts(config.mounts, input);
  const files = [
    ...sandboxFileMounts(input.files, security?.readonlyRootfs === true),
    ...sharedMemoryMount(input.files, pod.ipc),
  ];
  const claimed = firstClaims(requested.mounts, files);
  const volumes = cri.ignoreImageDefinedVolumes
    ? []
    : await imageVolumes(
        input.image.config.volumes,
        new Set(claimed.map(({ destination }) => destination)),
        input.rootfs,
        {
          folder: input.volumesDir,
          mappings,
          imageUsage: input.imageUsage,
          signal: input.signal,
        },
      );
  const views = { mappings, cgroups, hostNetwork: pod.network };
  spec.mounts = mergeMounts(kernelMounts(spec, config, views), [...claimed, ...volumes]);
  const propagation = rootfsPropagation(requested.propagation, spec.linux.rootfsPropagation);
  if (propagation !== undefined) spec.linux.rootfsPropagation = propagation;
}

function kernelMounts(
  spec: OciSpec,
  config: ContainerConfig,
  { mappings, cgroups, hostNetwork }: ContainerViews & { hostNetwork: boolean },
): OciMount[] {
  const privileged = config.linux?.securityContext?.privileged === true;
  const mounts = [
    ...spec.mounts.filter(({ destination }) => destination !== "/sys/fs/cgroup"),
    cgroups.bound ? boundCgroups(cgroups.writable) : cgroupMount(cgroups.writable),
  ];
  return mounts.map((mount) => {
    if (mount.destination !== "/sys") return mount;
    // The kernel lets a user namespace mount sysfs only together with a network of its own.
    if (mappings !== undefined && hostNetwork) return boundSys;
    return privileged ? { ...mount, options: writable(mount.options ?? []) } : mount;
  });
}

const boundSys: OciMount = {
  destination: "/sys",
  type: "bind",
  source: "/sys",
  options: ["rbind", "rprivate", "nosuid", "noexec", "nodev", "rro"],
};

function writable(options: readonly string[]): string[] {
  return options.map((option) => (option === "ro" ? "rw" : option));
}
