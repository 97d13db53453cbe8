// SPDX-License-Identifier: Apache-2.0
import { access, constants } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault, toFault } from "../../base/errors.ts";
import { searchPath } from "../../base/process.ts";
import { KeyFault } from "../../config/reload-port.ts";
import { isRuncType } from "../../config/runc-options.ts";
import { startingSpec } from "../../oci/base-spec.ts";
import type { Handler } from "./handlers.ts";
import type { ShimPrograms } from "./shim-programs.ts";

/**
 * Looks for everything that pods of a handler need: its shim, its OCI runtime, the spec that it starts
 * from. Throws KeyFault for what is missing. A start does not ask so much: it must serve the pods of
 * the other handlers, while a reload can leave all as it was.
 */
export async function checkHandlerPrograms(
  { name, config }: Handler,
  shims: Pick<ShimPrograms, "find">,
  { signal }: Cancellable,
): Promise<void> {
  const check = async (key: string, work: () => Promise<unknown>): Promise<void> => {
    signal.throwIfAborted();
    try {
      await work();
    } catch (cause) {
      const { code, message } = toFault(cause);
      throw new KeyFault(code, ["runtime", "handlers", name, key], message, { cause });
    }
  };
  const { baseRuntimeSpec, binaryName, shim, type } = config;
  await check(shim === "" ? "type" : "shim", () => shims.find(type, shim));
  if (isRuncType(type)) {
    await check("binary_name", () => findRuntime(name, binaryName || "runc"));
  }
  await check("base_runtime_spec", () => startingSpec(baseRuntimeSpec));
}

/** As shims find it: a path, or a name on PATH. */
async function findRuntime(handler: string, binary: string): Promise<void> {
  const places = binary.includes("/")
    ? [binary]
    : searchPath().map((folder) => path.join(folder, binary));
  let errno: string | undefined;
  for (const place of places) {
    try {
      await access(place, constants.X_OK);
      return;
    } catch (error) {
      errno = errnoOf(error);
    }
  }
  const why = binary.includes("/") ? errno : "it is not on PATH";
  throw fault("NOT_FOUND", `OCI runtime "${binary}" of handler "${handler}": ${why}`);
}
