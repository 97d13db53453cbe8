// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { fault } from "../../base/errors.ts";
import type { IdMappings } from "../../base/os/id-mapping.ts";
import { mappingOptions } from "../../base/os/mapped-mount.ts";
import type { TypesMount } from "../../gen/types.gen.ts";
import type { SnapshotKind } from "../ports.ts";

/** mount(2) copies one page of options; the last byte ends the string. */
const maxOptionBytes = 4095;
/** OVL_MAX_STACK of the kernel. */
const maxLowerDirs = 500;

export interface OverlayLayout {
  readonly kind: SnapshotKind;
  /** Folder that holds all snapshot folders: shims shorten lowerdir by it when it gets long. */
  readonly base: string;
  /** The snapshot's own folder, with `fs/` and, for an active one, `work/`. */
  readonly own: string;
  /** `fs/` of the parents, top first. */
  readonly lowers: readonly string[];
  /** True when the kernel knows the `index` option, which must then be off to share lower layers. */
  readonly indexOff: boolean;
  /** Files in `lowers` are to be shown with the owners of these mappings; `own` has them on the disk. */
  readonly mappings?: IdMappings | undefined;
}

/** The mounts of a snapshot: a bind mount where there is one folder, else overlay. */
export function overlayMounts(layout: OverlayLayout): TypesMount[] {
  const { kind, own, lowers } = layout;
  const isActive = kind === "ACTIVE";
  if (lowers.length === 0) return [bindMount(path.join(own, "fs"), isActive ? "rw" : "ro", [])];
  const mapping = layout.mappings === undefined ? [] : mappingOptions(layout.mappings);
  if (!isActive && lowers.length === 1) return [bindMount(lowers[0] ?? own, "ro", mapping)];
  assertMountable(layout);
  const options = [
    ...(layout.indexOff ? ["index=off"] : []),
    ...(isActive ? [`workdir=${path.join(own, "work")}`, `upperdir=${path.join(own, "fs")}`] : []),
    `lowerdir=${lowers.join(":")}`,
    ...mapping,
  ];
  return [{ type: "overlay", source: "overlay", target: "", options }];
}

function bindMount(source: string, access: "rw" | "ro", mapping: readonly string[]): TypesMount {
  return { type: "bind", source, target: "", options: [access, "rbind", ...mapping] };
}

// A mounter may change into the common folder and use short relative names. Longer options the kernel does not take,
// and a shim would answer with a mere EINVAL.
function assertMountable({ base, own, lowers }: OverlayLayout): void {
  const shortest =
    lowers.reduce((sum, lower) => sum + path.relative(base, lower).length + 1, 0) +
    2 * own.length +
    "index=off,workdir=/work,upperdir=/fs,lowerdir=".length;
  if (lowers.length > maxLowerDirs || shortest > maxOptionBytes) {
    throw fault(
      "FAILED_PRECONDITION",
      `cannot mount snapshot folder "${own}": ${lowers.length} layers are more than overlayfs takes`,
    );
  }
}
