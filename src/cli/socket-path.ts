// SPDX-License-Identifier: Apache-2.0
import path from "node:path";

/** A socket as a flag names it: a path, or with the unix:// that crictl wants. */
export function socketPath(address: string): string {
  return path.resolve(address.replace(/^unix:(\/\/)?/, ""));
}
