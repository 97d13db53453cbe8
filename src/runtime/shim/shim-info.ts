// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { run } from "../../base/process.ts";
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { codec } from "../../rpc/codec.ts";

const featuresType = "opencontainers/runtime-spec/1/features/Features";
const limitMs = 5_000;

/**
 * The OCI features that a shim tells of its runtime (`SHIM -info`), as JSON; undefined when it tells
 * none. Shims before containerd 2.0, and many others, do not know the question: that is no error.
 */
export async function readShimFeatures(
  file: string,
  options: ProtoAny | null,
  { signal }: Cancellable,
): Promise<string | undefined> {
  const input = options === null ? Buffer.alloc(0) : codec("google.protobuf.Any").encode(options);
  try {
    const { stdout } = await run(file, ["-info"], { input, signal, timeoutMs: limitMs });
    const { features } = codec("containerd.types.RuntimeInfo").decode(stdout);
    if (features === null || !features.type_url.endsWith(featuresType)) return undefined;
    return Buffer.from(features.value).toString("utf8");
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Error) return undefined;
    throw error;
  }
}
