// SPDX-License-Identifier: Apache-2.0
import { type Plugin, plugin } from "../plugin/plugin.ts";
import type { AddServiceOptions } from "../rpc/grpc-server.ts";
import type { ServiceImpl, ServiceName } from "../rpc/service.ts";
import { type GrpcService, pluginTypes } from "./environment.ts";

/** Plugins, and those of them that put a service on the daemon's gRPC server. */
export interface ServingPlugins {
  readonly plugins: readonly Plugin<unknown>[];
  readonly grpc: readonly Plugin<GrpcService>[];
}

/** The gRPC plugin of a service: no logic of its own, only the name on the wire. */
export function grpcService<S extends ServiceName>(
  id: string,
  service: S,
  implementation: Plugin<ServiceImpl<S>>,
  options?: AddServiceOptions<S>,
): Plugin<GrpcService> {
  return plugin({
    type: pluginTypes.grpc,
    id,
    requires: { implementation },
    exports: { service },
    init: ({ implementation }) => ({
      addTo: (server) => server.add(service, implementation, options),
    }),
  });
}
