// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import { run } from "../../base/process.ts";
import type { TypesRuntimeInfoInit } from "../../gen/types.gen.ts";
import type { ProtoAny, ProtoAnyInit } from "../../gen/wellknown.gen.ts";
import { unpackAny } from "../../rpc/codec.ts";
import { ShimBinaries, type ShimBinary } from "./binary.ts";
import { askShimInfo } from "./shim-info.ts";

const answerMs = 5_000;
/** The JSON that `runc features` writes, as containerd's clients know it in an Any. */
const featuresType = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/** Tells of a runtime by name; errors as `ShimBinaries.resolve`. */
export type RuntimeInfoReader = (
  runtime: string,
  options: ProtoAnyInit | null,
  call: Cancellable,
) => Promise<TypesRuntimeInfoInit>;

/**
 * What a runtime's shim says of itself and of the OCI runtime below it (see askShimInfo). For
 * older runc shims, which cannot tell, the OCI runtime is asked directly.
 */
export function createRuntimeInfoReader(binaries = new ShimBinaries()): RuntimeInfoReader {
  return async (runtime, options, call) => {
    const binary = await binaries.resolve(runtime, "");
    try {
      return await askShimInfo(binary.path, options, call);
    } catch (error) {
      if (!binary.isRunc || !isFault(error)) throw error;
      return askOciRuntime(runtime, binary, options, call);
    }
  };
}

async function askOciRuntime(
  name: string,
  { version }: ShimBinary,
  options: ProtoAnyInit | null,
  { signal }: Cancellable,
): Promise<TypesRuntimeInfoInit> {
  const { binaryName = "" } = unpackAny("containerd.runc.v1.Options", options) ?? {};
  const { stdout } = await run(binaryName || "runc", ["features"], {
    signal,
    timeoutMs: answerMs,
  });
  const features: ProtoAny = { type_url: featuresType, value: stdout };
  return { name, version: { version: version?.join(".") ?? "" }, options, features };
}
