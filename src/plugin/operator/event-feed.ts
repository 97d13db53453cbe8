// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault, toFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { decodeEvent } from "../../events/event-fields.ts";
import type { EventEnvelope, EventExchange } from "../../events/ports.ts";
import type { ObservedEvent } from "./api.ts";
import type { CallResult } from "./plugin-chain.ts";
import type { PluginHost } from "./plugin-host.ts";

export interface EventFeedOptions {
  readonly exchange: EventExchange;
  readonly host: PluginHost;
  readonly log: Logger;
  readonly onCall: (result: CallResult) => void;
}

/**
 * Hands a plugin the events, one after the other, until the signal fires. The queue before it is
 * bounded, so a plugin that is slow loses events and holds nobody.
 */
export async function feedEvents(
  options: EventFeedOptions,
  { signal }: Cancellable,
): Promise<void> {
  const { exchange, host, log, onCall } = options;
  using subscription = exchange.subscribe([]);
  let hasFailed = false;
  try {
    for await (const envelope of subscription.read({ signal })) {
      try {
        await host.call("onEvent", observed(envelope), { signal });
        onCall("ok");
        hasFailed = false;
      } catch (error) {
        signal.throwIfAborted();
        onCall(isFault(error, "DEADLINE_EXCEEDED") ? "timeout" : "error");
        const { message } = toFault(error);
        // The first of a row is told; a broken plugin must not fill the log with every event.
        if (!hasFailed) log.warn({ topic: envelope.topic, reason: message }, "onEvent has failed");
        hasFailed = true;
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function observed({ topic, namespace, timestampNanos, event }: EventEnvelope): ObservedEvent {
  const type = event.type_url.slice(event.type_url.lastIndexOf("/") + 1);
  return { topic, namespace, timestampNanos, type, event: decodeEvent(event) };
}
