// SPDX-License-Identifier: Apache-2.0
import { definePlugin, type Plugin, pluginUri } from "../plugin/plugin.ts";
import type { AddServiceOptions } from "../rpc/grpc-server.ts";
import type { ServiceImpl, ServiceName } from "../rpc/service.ts";
import { type GrpcService, pluginTypes } from "./environment.ts";

/** The gRPC plugin of a service: no logic of its own, only the name on the wire. */
export function grpcService<S extends ServiceName>(
  id: string,
  service: S,
  implementation: Plugin<ServiceImpl<S>>,
  options?: AddServiceOptions,
): Plugin<GrpcService> {
  return definePlugin({
    type: pluginTypes.grpc,
    id,
    requires: [pluginUri(implementation)],
    exports: { service },
    init: (context) => {
      const served = context.get(implementation);
      return { addTo: (server) => server.add(service, served, options) };
    },
  });
}
