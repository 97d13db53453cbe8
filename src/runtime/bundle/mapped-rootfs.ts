// SPDX-License-Identifier: Apache-2.0
import { isMapped, type MappedMountOptions, mountMapped } from "../../base/os/mapped-mount.ts";
import { type MountSpec, mountSpec } from "../../base/os/mount.ts";
import type { TypesMountInit } from "../../gen/types.gen.ts";

/**
 * Mounts a root file system that asks for mapped owners, which shims before 2.0 cannot, and answers
 * what is left for the shim: nothing then, all the mounts otherwise. The bundle's removal unmounts it.
 */
export async function mountMappedRootfs(
  mounts: readonly TypesMountInit[],
  rootfs: string,
  options: MappedMountOptions,
): Promise<readonly TypesMountInit[]> {
  const specs = mounts.map(toSpec);
  if (!specs.some(isMapped)) return mounts;
  for (const spec of specs) {
    if (isMapped(spec)) await mountMapped(spec, rootfs, options);
    else mountSpec(spec, rootfs);
  }
  return [];
}

function toSpec({ type, source, target, options }: TypesMountInit): MountSpec {
  return { type: type ?? "", source: source ?? "", target: target ?? "", options: options ?? [] };
}
