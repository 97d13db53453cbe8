// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { EventEnvelope, EventExchange, EventSubscription } from "../events/ports.ts";
import type { TypesEnvelope, TypesEnvelopeInit } from "../gen/types.gen.ts";
import type { ProtoAny } from "../gen/wellknown.gen.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import { exactTimestampOf, isTime, nanosOf } from "../rpc/timestamp.ts";

/** containerd's Events service: what clients publish, forward and subscribe to. Shims have `runtime/events`. */
export function createEventsService(
  exchange: EventExchange,
): ServiceImpl<"containerd.services.events.v1.Events"> {
  return {
    Publish: async ({ topic, event }, { namespace }) => {
      if (!namespace) throw fault("FAILED_PRECONDITION", "namespace is required");
      exchange.publish(namespace, topic, required(event));
      return {};
    },
    Forward: async ({ envelope }) => {
      exchange.forward(envelopeOf(envelope));
      return {};
    },
    // No generator: the subscription must stand when the call is taken, not at the first read.
    Subscribe: ({ filters }, { signal }) => messages(exchange.subscribe(filters), signal),
  };
}

async function* messages(
  subscription: EventSubscription,
  signal: AbortSignal,
): AsyncGenerator<TypesEnvelopeInit, void, undefined> {
  using events = subscription;
  for await (const { timestampNanos, namespace, topic, event } of events.read({ signal })) {
    yield { timestamp: exactTimestampOf(timestampNanos), namespace, topic, event };
  }
}

function envelopeOf(envelope: TypesEnvelope | null): EventEnvelope {
  if (!envelope) throw fault("INVALID_ARGUMENT", "event envelope is missing");
  const { timestamp, namespace, topic, event } = envelope;
  if (!isTime(timestamp)) throw fault("INVALID_ARGUMENT", "event envelope has no timestamp");
  return { timestampNanos: nanosOf(timestamp), namespace, topic, event: required(event) };
}

function required(event: ProtoAny | null): ProtoAny {
  if (!event) throw fault("INVALID_ARGUMENT", "event is missing");
  return event;
}
