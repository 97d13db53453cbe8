// SPDX-License-Identifier: Apache-2.0
import type { ProtoAny } from "../../gen/tasks.gen.ts";
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

/**
 * What goes on the stdin of a shim's `start`. Flags and environment say the same in any case.
 *
 * runc shims from 2.3 on read BootstrapParams, and mistake an Any for it; those before read the
 * runtime options as an Any, and 1.6 fails on anything else. Shims of others (the Rust crate for one)
 * take the Any or nothing. A runc shim without a readable version is a build from source: new.
 */
export function bootstrapInput(binary: ShimBinary, facts: BootstrapFacts): Buffer {
  if (binary.isRunc && (binary.version === undefined || isAtLeast(binary.version, 2, 3))) {
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
