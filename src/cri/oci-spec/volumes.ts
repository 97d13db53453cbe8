// SPDX-License-Identifier: Apache-2.0
import { chown, mkdir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { hostId } from "../../base/os/id-mapping.ts";
import type { RootfsReader } from "../../oci/rootfs/ports.ts";
import type { OciMount } from "../../oci/spec.ts";
import type { SnapshotUsage } from "../../snapshots/ports.ts";
import type { CopySize } from "../../trees/copy-meter.ts";
import type { UserMappings } from "./user-namespace.ts";

export interface VolumesPlace {
  /** The container's own; made when needed. */
  readonly folder: string;
  /** Of a container in a user namespace: what is copied belongs to the ids it has there. */
  readonly mappings: UserMappings | undefined;
  /** What the image takes on disk. */
  readonly imageUsage: () => Promise<SnapshotUsage>;
}

/** Volumes of an image. Those that there are have a handful. */
const mostVolumes = 128;
/** What all of an image's volumes together copy, in sizes of the image: one may lie in another. */
const mostImages = 2;
/** For an image of hardly anything. */
const spare: CopySize = { bytes: 2 ** 20, inodes: 1024 };

/**
 * Gives every volume of the image that no mount of the request covers a folder of its own, filled
 * with what the image has there, as a writable bind mount.
 *
 * Their paths may be links to one and the same folder. FAILED_PRECONDITION when there are too many of them,
 * or when what they copy is much more than the image itself.
 */
export async function imageVolumes(
  volumes: readonly string[],
  covered: ReadonlySet<string>,
  rootfs: RootfsReader,
  { folder, mappings, imageUsage, signal }: VolumesPlace & Cancellable,
): Promise<OciMount[]> {
  if (volumes.length > mostVolumes) {
    const many = `image declares ${volumes.length} volumes, more than ${mostVolumes}`;
    throw fault("FAILED_PRECONDITION", many);
  }
  let most: CopySize | undefined;
  const mounts: OciMount[] = [];
  const destinations = new Set(volumes.map((volume) => path.posix.resolve("/", volume)));
  for (const destination of [...destinations].sort()) {
    if (covered.has(destination) || destination === "/") continue;
    const source = path.join(folder, `volume-${mounts.length}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    most ??= copyLimit(await imageUsage());
    const options = { mappings, most };
    const copied = await rootfs
      .copyDirectory(destination, source, options, { signal })
      .catch((error: unknown) => {
        if (!isFault(error, "FAILED_PRECONDITION")) throw error;
        const what = `volumes of the image hold more than ${mostImages} times what it has itself`;
        throw fault("FAILED_PRECONDITION", `${what}, at "${destination}"`, { cause: error });
      });
    if (copied !== undefined) {
      most = { bytes: most.bytes - copied.bytes, inodes: most.inodes - copied.inodes };
    } else {
      await mkdir(source, { recursive: true, mode: 0o755 });
      if (mappings !== undefined) {
        await chown(source, hostId(mappings.uids, 0), hostId(mappings.gids, 0));
      }
    }
    mounts.push({ destination, type: "bind", source, options: ["rbind", "rprivate", "rw"] });
  }
  return mounts;
}

function copyLimit({ sizeBytes, inodes }: SnapshotUsage): CopySize {
  return {
    bytes: mostImages * Number(sizeBytes) + spare.bytes,
    inodes: mostImages * Number(inodes) + spare.inodes,
  };
}
