// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { TypesMount } from "../gen/tasks.gen.ts";

/**
 * The folders that a snapshot's mounts put over one another, topmost first. They can be read in place
 * of the mount while nothing changes them. INTERNAL for mounts of another kind than overlay or bind.
 */
export function layersOf(mounts: readonly TypesMount[]): string[] {
  const [mount] = mounts;
  if (!mount || mounts.length > 1) {
    throw fault(
      "INTERNAL",
      `cannot read a snapshot of ${mounts.length} mounts without mounting it`,
    );
  }
  if (mount.type === "bind" || mount.options.some((option) => /^r?bind$/.test(option))) {
    return [mount.source];
  }
  if (mount.type !== "overlay") {
    throw fault("INTERNAL", `cannot read a snapshot of type "${mount.type}" without mounting it`);
  }
  return [...optionOf(mount, "upperdir"), ...optionOf(mount, "lowerdir").flatMap(splitLower)];
}

function optionOf(mount: TypesMount, name: string): string[] {
  const prefix = `${name}=`;
  return mount.options
    .filter((option) => option.startsWith(prefix))
    .map((option) => option.slice(prefix.length));
}

/** The kernel takes a backslash before a colon as part of a path. */
function splitLower(list: string): string[] {
  return list.split(/(?<!\\):/).map((layer) => layer.replaceAll("\\:", ":"));
}
