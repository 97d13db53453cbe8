// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { run } from "../../base/process.ts";
import { FolderSnapshotter, type FolderSnapshotterOptions } from "../folder-snapshotter.ts";

/** Of a copy of a whole image, which cp says nothing about meanwhile. */
const copyLimitMs = 3_600_000;

/**
 * Opens the native snapshotter of a folder: each snapshot is a whole copy of its parent, which needs
 * nothing of the file system and takes its room. Where the file system can share blocks, copies do.
 */
export async function createNativeSnapshotter(
  options: FolderSnapshotterOptions,
): Promise<FolderSnapshotter> {
  const snapshotter = new FolderSnapshotter(options, {
    name: "native",
    whiteouts: "none",
    isWhole: true,
    mounts: ({ kind, own, lowers }) => {
      // A view changes nothing, so it needs no copy.
      const source = kind === "VIEW" ? (lowers[0] ?? path.join(own, "fs")) : path.join(own, "fs");
      const access = kind === "ACTIVE" ? "rw" : "ro";
      return [{ type: "bind", source, target: "", options: [access, "rbind"] }];
    },
    fill: async (folder, sources, { signal }) => {
      for (const source of sources) {
        // --remove-destination: a link below must not lead the copy of a file above elsewhere.
        const options = ["-a", "--reflink=auto", "--remove-destination", "--no-target-directory"];
        const argv = [...options, "--", `${source}/.`, folder];
        await run("cp", argv, { signal, timeoutMs: copyLimitMs });
      }
    },
  });
  await snapshotter.recover();
  return snapshotter;
}
