// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { codec, type MessageName, methodShapes } from "../rpc/codec.ts";
import type { CallOptions, ServiceClient, ServiceName } from "../rpc/service.ts";
import type { TtrpcClient } from "./client.ts";

/** How ttrpc names the namespace of a call; gRPC's header lacks the suffix. */
export const namespaceKey = "containerd-namespace-ttrpc";

export interface TtrpcCallOptions extends CallOptions {
  readonly timeoutMs?: number | undefined;
}

/**
 * A typed client of one service. `wireName` is the name to send when it differs from the one whose
 * messages are used: containerd.task.v2.Task and v3.Task share every message.
 */
export function ttrpcServiceClient<S extends ServiceName>(
  client: TtrpcClient,
  service: S,
  wireName: string = service,
): ServiceClient<S> {
  const calls: Record<string, unknown> = {};
  for (const method of methodShapes(service)) {
    if (method.requestStream || method.responseStream) continue;
    const request = method.request as MessageName;
    const response = method.response as MessageName;
    calls[method.name] = async (
      value: object,
      options: TtrpcCallOptions = {},
    ): Promise<unknown> => {
      const payload = codec(request).encode(value);
      const answer = await client.call(wireName, method.name, payload, {
        signal: options.signal,
        timeoutMs: options.timeoutMs,
        metadata: metadataOf(options),
      });
      try {
        return codec(response).decode(answer);
      } catch (error) {
        throw fault("INTERNAL", `answer of ${wireName}/${method.name} is malformed`, {
          cause: error,
        });
      }
    };
  }
  return calls as ServiceClient<S>;
}

function metadataOf(options: CallOptions): (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = Object.entries(options.headers ?? {});
  if (options.namespace !== undefined) pairs.push([namespaceKey, options.namespace]);
  return pairs;
}
