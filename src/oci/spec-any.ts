// SPDX-License-Identifier: Apache-2.0
import type { ProtoAnyInit } from "../gen/wellknown.gen.ts";
import { encodeOciSpec } from "./encode-spec.ts";
import type { OciSpec } from "./spec.ts";

/** Type URL of an OCI spec in an Any, as containerd clients write and expect it. */
export const ociSpecTypeUrl = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/** A spec as the containerd record carries it. */
export function specAny(spec: OciSpec): ProtoAnyInit {
  return { type_url: ociSpecTypeUrl, value: encodeOciSpec(spec) };
}
