// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { pushCritestImages } from "../../support/critest-images.ts";
import { toolsCache } from "../../support/go-tools.ts";
import { startRegistry } from "../../support/registry.ts";
import { scratch } from "../../support/scratch.ts";
import { pushTestImages } from "../../support/test-images.ts";
import { makeDisk } from "./disk.ts";

const support = path.resolve(import.meta.dirname, "../../support");
const recipes = ["critest-images.ts", "test-images.ts", "oci-image.ts"];

/**
 * A disk with a registry's storage that holds the tests' and critest's images, kept in the tools'
 * cache under a key of what makes them.
 */
export async function imagesDisk(): Promise<string> {
  const hash = createHash("sha256");
  for (const name of recipes) hash.update(await readFile(path.join(support, name)));
  const disk = path.join(toolsCache(), "vm", `images-${hash.digest("hex").slice(0, 16)}.img`);
  if (existsSync(disk)) return disk;
  await using home = await scratch({ prefix: "vm-images" });
  const storage = await home.folder("registry");
  {
    await using registry = await startRegistry(storage);
    await pushTestImages(registry, await home.folder("test"));
    await pushCritestImages(registry, await home.folder("critest"));
  }
  const fresh = `${disk}.${process.pid}`;
  try {
    await mkdir(path.dirname(disk), { recursive: true });
    await makeDisk(storage, "berth-images", fresh);
    await rename(fresh, disk);
  } finally {
    await rm(fresh, { force: true });
  }
  return disk;
}
