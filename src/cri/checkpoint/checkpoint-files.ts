// SPDX-License-Identifier: Apache-2.0
import path from "node:path";

/** What a checkpoint archive holds, by the names that other runtimes and checkpointctl use. */
export interface CheckpointFiles {
  /** Folder of CRIU's image. */
  readonly criu: string;
  /** What the container changed of its image: a layer. */
  readonly rootfsDiff: string;
  /** The OCI spec. */
  readonly spec: string;
  /** Which container and image it was: a CheckpointConfig. */
  readonly config: string;
  /** Its CRI status. */
  readonly status: string;
}

/** The files below a folder. */
export function checkpointFiles(folder: string): CheckpointFiles {
  return {
    criu: path.join(folder, "checkpoint"),
    rootfsDiff: path.join(folder, "rootfs-diff.tar"),
    spec: path.join(folder, "spec.dump"),
    config: path.join(folder, "config.dump"),
    status: path.join(folder, "status.dump"),
  };
}

/** config.dump. Times are RFC 3339. */
export interface CheckpointConfig {
  readonly id: string;
  readonly name: string;
  /** The image as the container's creator named it. */
  readonly rootfsImage: string;
  /** Its digest reference or id. */
  readonly rootfsImageRef: string;
  readonly rootfsImageName: string;
  readonly runtime: string;
  readonly createdTime: string;
  readonly checkpointedTime: string;
  readonly restored: boolean;
}
