// SPDX-License-Identifier: Apache-2.0
import { stat } from "node:fs/promises";
import path from "node:path";
import { fault } from "../../base/errors.ts";

const searchByOthers = 0o001;

/**
 * FAILED_PRECONDITION unless anybody can get into the folder. The root of a user namespace is nobody to
 * the host, and an OCI runtime would only say "permission denied", about a mount deep below.
 */
export async function assertReachable(folder: string): Promise<void> {
  for (let place = folder; ; place = path.dirname(place)) {
    const { mode } = await stat(place);
    if ((mode & searchByOthers) === 0) {
      const octal = (mode & 0o7777).toString(8).padStart(4, "0");
      throw fault(
        "FAILED_PRECONDITION",
        `a pod with a user namespace cannot get to "${folder}": "${place}" has mode ${octal} and needs 0711`,
      );
    }
    if (place === "/") return;
  }
}
