// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import path from "node:path";

/** Where runc shims put their sockets unless they are told otherwise. */
const socketFolder = "/run/containerd/s";

/**
 * The address of a runc shim, as it makes it up itself from what it was started with. `group` is the
 * sandbox's id, or the task's own where there is no sandbox.
 */
export function runcShimAddress(grpcAddress: string, namespace: string, group: string): string {
  const hash = createHash("sha256")
    .update(path.join(grpcAddress, namespace, group))
    .digest("hex");
  return `unix://${path.join(socketFolder, hash)}`;
}
