// SPDX-License-Identifier: Apache-2.0
import { childEnvironment } from "../../base/process.ts";
import type { Bundle } from "../bundle/bundle.ts";

/** What every shim of this daemon is told of it. */
export interface ShimSurroundings {
  /** Address of our gRPC socket: shims hash it into their socket's name. */
  readonly grpcAddress: string;
  /** Socket of the event service; a shim that is not told loses its events silently. */
  readonly ttrpcAddress: string;
  /** Program that very old shims run to publish an event. Default "berthd". */
  readonly publishBinary?: string;
}

/** The flags of a shim's command line, before its action word. */
export function shimFlags(to: ShimSurroundings, { namespace, id }: Bundle): string[] {
  return ["-namespace", namespace, "-address", to.grpcAddress].concat(
    ["-publish-binary", to.publishBinary ?? "berthd"],
    ["-id", id],
  );
}

/** The environment of a shim and of its helpers. */
export function shimEnvironment(
  to: ShimSurroundings,
  namespace: string,
): Record<string, string | undefined> {
  return {
    ...childEnvironment(undefined),
    GOMAXPROCS: "2",
    MAX_SHIM_VERSION: "2",
    TTRPC_ADDRESS: to.ttrpcAddress,
    GRPC_ADDRESS: to.grpcAddress,
    NAMESPACE: namespace,
  };
}
