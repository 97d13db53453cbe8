// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { RuntimeConfig, RuntimeHandlerConfig } from "../config/config.ts";
import { type Handler, isRuncType, runtimeOptions } from "../cri/handlers.ts";
import type { RuntimeFeatures } from "../cri/spec/ports.ts";
import {
  noRuntimeFeatures,
  parseRuntimeFeatures,
  readRuntimeFeatures,
} from "../cri/spec/runtime-features.ts";
import { ShimBinaries } from "../runtime/shim/binary.ts";
import { readShimFeatures } from "../runtime/shim/shim-info.ts";

/** Asks what every handler can do, once, side by side; answers from memory then. */
export async function readHandlerFeatures(
  { handlers }: RuntimeConfig,
  kernelRelease: string,
  call: Cancellable,
): Promise<(handler: string) => RuntimeFeatures> {
  const shims = new ShimBinaries();
  const known = new Map(
    await Promise.all(
      Object.entries(handlers).map(
        async ([name, config]) =>
          [name, await featuresOf({ name, config }, shims, kernelRelease, call)] as const,
      ),
    ),
  );
  return (handler) => known.get(handler) ?? noRuntimeFeatures;
}

/** Of runc shims the OCI runtime is asked, which also works with old shims; of others the shim. */
async function featuresOf(
  handler: Handler,
  shims: ShimBinaries,
  kernelRelease: string,
  call: Cancellable,
): Promise<RuntimeFeatures> {
  const { config } = handler;
  if (isRuncType(config.type)) {
    return readRuntimeFeatures(config.binaryName || "runc", kernelRelease, call);
  }
  const file = await shimFile(config, shims);
  const json = file && (await readShimFeatures(file, runtimeOptions(handler), call));
  try {
    return json ? parseRuntimeFeatures(json, kernelRelease) : noRuntimeFeatures;
  } catch {
    return noRuntimeFeatures;
  }
}

async function shimFile(
  { type, shim }: RuntimeHandlerConfig,
  shims: ShimBinaries,
): Promise<string | undefined> {
  return shims.resolve(type, shim).then(
    ({ path }) => path,
    () => undefined,
  );
}
