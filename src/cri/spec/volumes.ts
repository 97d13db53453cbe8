// SPDX-License-Identifier: Apache-2.0
import { chown, mkdir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { hostId } from "../../base/os/id-mapping.ts";
import type { OciMount } from "../../runtime/oci/spec.ts";
import type { RootfsReader } from "./ports.ts";
import type { UserMappings } from "./user-namespace.ts";

export interface VolumesPlace {
  /** The container's own; made when needed. */
  readonly folder: string;
  /** Of a container in a user namespace: what is copied belongs to the ids it has there. */
  readonly mappings: UserMappings | undefined;
}

/**
 * Gives every volume of the image that no mount of the request covers a folder of its own, filled
 * with what the image has there, as a writable bind mount.
 */
export async function imageVolumes(
  volumes: readonly string[],
  covered: ReadonlySet<string>,
  rootfs: RootfsReader,
  { folder, mappings, signal }: VolumesPlace & Cancellable,
): Promise<OciMount[]> {
  const mounts: OciMount[] = [];
  const destinations = new Set(volumes.map((volume) => path.posix.resolve("/", volume)));
  for (const destination of [...destinations].sort()) {
    if (covered.has(destination) || destination === "/") continue;
    const source = path.join(folder, `volume-${mounts.length}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (!(await rootfs.copyDirectory(destination, source, { mappings }, { signal }))) {
      await mkdir(source, { recursive: true, mode: 0o755 });
      if (mappings !== undefined) {
        await chown(source, hostId(mappings.uids, 0), hostId(mappings.gids, 0));
      }
    }
    mounts.push({ destination, type: "bind", source, options: ["rbind", "rprivate", "rw"] });
  }
  return mounts;
}
