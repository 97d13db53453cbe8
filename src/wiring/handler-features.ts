// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { RuntimeConfig } from "../config/config.ts";
import type { RuntimeFeatures } from "../cri/spec/ports.ts";
import { readRuntimeFeatures } from "../cri/spec/runtime-features.ts";

const none: RuntimeFeatures = {
  recursiveReadOnlyMounts: false,
  idmapMounts: false,
  userNamespaces: false,
};

/** Asks the OCI runtime of every handler what it can do, once, side by side; answers from memory then. */
export async function readHandlerFeatures(
  { handlers }: RuntimeConfig,
  kernelRelease: string,
  call: Cancellable,
): Promise<(handler: string) => RuntimeFeatures> {
  const known = new Map(
    await Promise.all(
      Object.entries(handlers).map(
        async ([name, { binaryName }]) =>
          [name, await readRuntimeFeatures(binaryName || "runc", kernelRelease, call)] as const,
      ),
    ),
  );
  return (handler) => known.get(handler) ?? none;
}
