// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { nowNanos } from "../../base/now.ts";
import { isTime, nanosOf } from "../../rpc/timestamp.ts";
import { TtrpcRegistry } from "../../ttrpc/registry.ts";
import { TtrpcServer } from "../../ttrpc/server.ts";
import type { EventSink } from "../ports.ts";
import type { ShimEventSource } from "./deletion-notices.ts";

export interface EventListenerOptions {
  /** Path of the unix socket, the TTRPC_ADDRESS of every shim. It must not change between starts. */
  readonly path: string;
  readonly sink: EventSink;
  readonly log: Logger;
}

/**
 * Serves the ttrpc events service (`Events/Forward`) that shims publish to. Shims reconnect by
 * themselves and retry an event for about 15 s, so it may be opened again after a restart; what is
 * lost over a longer outage is found by recovery, not here.
 */
export async function listenEvents(
  options: EventListenerOptions,
): Promise<ShimEventSource & AsyncDisposable> {
  const listeners = new Set<EventSink>();
  const registry = new TtrpcRegistry().register("containerd.services.events.ttrpc.v1.Events", {
    Forward: async ({ envelope }) => {
      if (envelope?.event === null || envelope?.event === undefined) {
        throw fault("INVALID_ARGUMENT", "forwarded event has no content");
      }
      const { namespace, topic, event } = envelope;
      const timestampNanos = isTime(envelope.timestamp) ? nanosOf(envelope.timestamp) : nowNanos();
      const forwarded = { timestampNanos, namespace, topic, event };
      options.sink(forwarded);
      for (const listener of listeners) listener(forwarded);
      return {};
    },
  });
  const server = await TtrpcServer.listen({ path: options.path, registry, log: options.log });
  return {
    onForward(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}
