// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { run } from "../../base/process.ts";
import { FolderSnapshotter, type FolderSnapshotterOptions } from "../folder-snapshotter.ts";

/** For a copy of a whole image: cp does not report progress. */
const copyLimitMs = 3_600_000;

/**
 * Opens the native snapshotter of a folder. Each snapshot is a whole copy of its parent: any file system will do, and
 * it takes as much space again. Where the file system can share blocks, copies do.
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
        // --remove-destination: where a lower layer has a link, the upper one's file must replace it, not be written
        // through it.
        const options = ["-a", "--reflink=auto", "--remove-destination", "--no-target-directory"];
        const argv = [...options, "--", `${source}/.`, folder];
        await run("cp", argv, { signal, timeoutMs: copyLimitMs });
      }
    },
  });
  await snapshotter.recover();
  return snapshotter;
}
