// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { run } from "../../base/process.ts";
import type { TypesRuntimeInfo } from "../../gen/types.gen.ts";
import type { ProtoAny, ProtoAnyInit } from "../../gen/wellknown.gen.ts";
import { codec } from "../../rpc/codec.ts";

const featuresType = "opencontainers/runtime-spec/1/features/Features";
const limitMs = 5_000;

/** What a shim says of itself and its OCI runtime (`SHIM -info`, since containerd 2.0). Rejects where it cannot tell. */
export async function askShimInfo(
  file: string,
  options: ProtoAnyInit | null,
  { signal }: Cancellable,
): Promise<TypesRuntimeInfo> {
  const input = options === null ? Buffer.alloc(0) : codec("google.protobuf.Any").encode(options);
  const { stdout } = await run(file, ["-info"], { input, signal, timeoutMs: limitMs });
  return codec("containerd.types.RuntimeInfo").decode(stdout);
}

/**
 * The OCI features that a shim tells of its runtime, as JSON; undefined when it tells
 * none. Shims before containerd 2.0, and many others, do not know the question: that is no error.
 */
export async function readShimFeatures(
  file: string,
  options: ProtoAny | null,
  call: Cancellable,
): Promise<string | undefined> {
  try {
    const { features } = await askShimInfo(file, options, call);
    if (features === null || !features.type_url.endsWith(featuresType)) return undefined;
    return Buffer.from(features.value).toString("utf8");
  } catch (error) {
    call.signal.throwIfAborted();
    if (error instanceof Error) return undefined;
    throw error;
  }
}
