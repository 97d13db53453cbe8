// SPDX-License-Identifier: Apache-2.0
import type { ProtoAny } from "../../gen/wellknown.gen.ts";
import { codec } from "../../rpc/codec.ts";
import type { ShimBinary } from "./binary.ts";

export interface BootstrapFacts {
  readonly namespace: string;
  readonly id: string;
  readonly grpcAddress: string;
  readonly ttrpcAddress: string;
  readonly publishBinary: string;
  readonly options: ProtoAny | null;
}

/** What a shim reads from its stdin: containerd's BootstrapParams, or the runtime options alone. */
export type BootstrapDialect = "params" | "options";

/**
 * runc shims from 2.3 on read BootstrapParams, and mistake an Any for it; those before read the
 * runtime options as an Any, and 1.6 fails on anything else. Shims of others take the Any or nothing
 * (the Rust crate for one), or are made of containerd's package of 2.4 or newer and say what they want
 * instead. A runc shim without a readable version is a build from source: new.
 */
export function likelyDialect({ isRunc, version }: ShimBinary): BootstrapDialect {
  return isRunc && (version === undefined || isAtLeast(version, 2, 3)) ? "params" : "options";
}

/** True for what a shim says that was given the options alone and wants BootstrapParams. */
export function wantsParams(said: string): boolean {
  return said.includes("started through the deprecated API");
}

/** What goes on the stdin of a shim's `start`. Flags and environment say the same in any case. */
export function bootstrapInput(dialect: BootstrapDialect, facts: BootstrapFacts): Buffer {
  if (dialect === "params") {
    return codec("containerd.runtime.bootstrap.v1.BootstrapParams").encode({
      instanceId: facts.id,
      namespace: facts.namespace,
      logLevel: "LOG_LEVEL_INFO",
      containerdTtrpcAddress: facts.ttrpcAddress,
      containerdGrpcAddress: facts.grpcAddress,
      containerdBinary: facts.publishBinary,
      extensions: facts.options === null ? [] : [{ value: facts.options }],
    });
  }
  if (facts.options === null) return Buffer.alloc(0);
  return codec("google.protobuf.Any").encode(facts.options);
}

function isAtLeast(version: readonly [number, number], major: number, minor: number): boolean {
  return version[0] > major || (version[0] === major && version[1] >= minor);
}
