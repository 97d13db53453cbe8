// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { RuntimeConfig, RuntimeHandlerConfig } from "../../config/config.ts";
import { defaultHandler } from "../../config/defaults.ts";
import { onCommit, type ReloadPart } from "../../config/reload-port.ts";
import { isRuncType } from "../../config/runc-options.ts";
import type { RuntimeFeatures } from "../oci-spec/ports.ts";
import {
  noRuntimeFeatures,
  parseRuntimeFeatures,
  readRuntimeFeatures,
} from "../oci-spec/runtime-features.ts";
import { checkHandlerPrograms } from "./check-handler-programs.ts";
import { type Handler, runtimeOptions } from "./handlers.ts";
import type { ShimPrograms } from "./shim-programs.ts";

/** What every handler can do. From memory. */
export interface HandlerFeatures {
  /** Settles once all have answered, or it is known that they will not; until then none of them can anything. */
  readonly asked: Promise<void>;
  readonly of: (handler: string) => RuntimeFeatures;
  readonly reload: ReloadPart;
}

/** Whom to ask. */
interface Ports {
  readonly shims: ShimPrograms;
  readonly kernelRelease: string;
}

/**
 * Asks what every handler can do, once, side by side; again of those that a reload adds or changes. They are programs:
 * the start goes on while they answer.
 */
export function askHandlerFeatures(
  { handlers }: RuntimeConfig,
  ports: Ports,
  call: Cancellable,
): HandlerFeatures {
  const ask = async (
    names: readonly string[],
    from: RuntimeConfig["handlers"],
    call: Cancellable,
  ) =>
    Promise.all(
      names.map(async (name) => {
        const config = from[name] ?? defaultHandler;
        return [name, await featuresOf({ name, config }, ports, call)] as const;
      }),
    );
  let known: ReadonlyMap<string, RuntimeFeatures> = new Map();
  const first = ask(Object.keys(handlers), handlers, call);
  const asked = first.then((found) => {
    known = new Map(found);
  });
  asked.catch(() => {}); // of a start that is asked to stop
  return {
    asked,
    of: (handler) => known.get(handler) ?? noRuntimeFeatures,
    reload: {
      keys: ["runtime.handlers"],
      prepare: async ({ runtime }, changes, call) => {
        const touched = new Set(changes.map(({ path }) => path[2] ?? ""));
        const names = [...touched].filter((name) => Object.hasOwn(runtime.handlers, name));
        for (const name of names) {
          const handler = { name, config: runtime.handlers[name] ?? defaultHandler };
          await checkHandlerPrograms(handler, ports.shims, call);
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
  { shims, kernelRelease }: Ports,
  call: Cancellable,
): Promise<RuntimeFeatures> {
  const { config } = handler;
  if (isRuncType(config.type)) {
    return readRuntimeFeatures(config.binaryName || "runc", kernelRelease, call);
  }
  const file = await shimFile(config, shims);
  const json = file && (await shims.features(file, runtimeOptions(handler), call));
  try {
    return json ? parseRuntimeFeatures(json, kernelRelease) : noRuntimeFeatures;
  } catch {
    return noRuntimeFeatures;
  }
}

async function shimFile(
  { type, shim }: RuntimeHandlerConfig,
  shims: ShimPrograms,
): Promise<string | undefined> {
  return shims.find(type, shim).then(
    ({ path }) => path,
    () => undefined,
  );
}
