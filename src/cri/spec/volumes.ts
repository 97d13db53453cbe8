// SPDX-License-Identifier: Apache-2.0
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { OciMount } from "../../runtime/oci/spec.ts";
import type { RootfsReader } from "./ports.ts";

/**
 * Gives every volume of the image that no mount of the request covers a folder of its own, filled
 * with what the image has there, as a writable bind mount.
 */
export async function imageVolumes(
  volumes: readonly string[],
  covered: ReadonlySet<string>,
  rootfs: RootfsReader,
  volumesDir: string,
): Promise<OciMount[]> {
  const mounts: OciMount[] = [];
  const destinations = new Set(volumes.map((volume) => path.posix.resolve("/", volume)));
  for (const destination of [...destinations].sort()) {
    if (covered.has(destination) || destination === "/") continue;
    const source = path.join(volumesDir, `volume-${mounts.length}`);
    await mkdir(volumesDir, { recursive: true, mode: 0o755 });
    if (!(await rootfs.copyDirectory(destination, source))) {
      await mkdir(source, { recursive: true, mode: 0o755 });
    }
    mounts.push({ destination, type: "bind", source, options: ["rbind", "rprivate", "rw"] });
  }
  return mounts;
}
