// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { RuntimeConfig, RuntimeHandlerConfig } from "../config/config.ts";
import { defaultHandler } from "../config/defaults.ts";
import { onCommit, type ReloadPart } from "../config/reload-port.ts";
import { type Handler, isRuncType, runtimeOptions } from "../cri/handlers.ts";
import type { RuntimeFeatures } from "../cri/oci-spec/ports.ts";
import {
  noRuntimeFeatures,
  parseRuntimeFeatures,
  readRuntimeFeatures,
} from "../cri/oci-spec/runtime-features.ts";
import { ShimBinaries } from "../runtime/shim/binary.ts";
import { readShimFeatures } from "../runtime/shim/shim-info.ts";
import { checkHandlerPrograms } from "./check-handler-programs.ts";

/** What every handler can do. From memory. */
export interface HandlerFeatures {
  readonly of: (handler: string) => RuntimeFeatures;
  readonly reload: ReloadPart;
}

/** Asks what every handler can do, once, side by side; again of those that a reload adds or changes. */
export async function readHandlerFeatures(
  { handlers }: RuntimeConfig,
  kernelRelease: string,
  call: Cancellable,
): Promise<HandlerFeatures> {
  const ask = async (
    names: readonly string[],
    from: RuntimeConfig["handlers"],
    call: Cancellable,
  ) =>
    Promise.all(
      names.map(async (name) => {
        const config = from[name] ?? defaultHandler;
        const features = await featuresOf(
          { name, config },
          new ShimBinaries(),
          kernelRelease,
          call,
        );
        return [name, features] as const;
      }),
    );
  let known = new Map(await ask(Object.keys(handlers), handlers, call));
  return {
    of: (handler) => known.get(handler) ?? noRuntimeFeatures,
    reload: {
      keys: ["runtime.handlers"],
      prepare: async ({ runtime }, changes, call) => {
        const touched = new Set(changes.map(({ path }) => path[2] ?? ""));
        const names = [...touched].filter((name) => Object.hasOwn(runtime.handlers, name));
        for (const name of names) {
          await checkHandlerPrograms(name, runtime.handlers[name] ?? defaultHandler, call);
        }
        const found = await ask(names, runtime.handlers, call);
        return onCommit(() => {
          const rest = [...known].filter(([name]) => !touched.has(name));
          known = new Map([...rest, ...found]);
        });
      },
    },
  };
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
