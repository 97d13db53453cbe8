// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { EventQueue } from "../base/event-queue.ts";
import { compileFilters } from "../base/filter.ts";
import { checkIdentifier } from "../base/identifier.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { nowNanos } from "../base/now.ts";
import type { ProtoAny } from "../gen/wellknown.gen.ts";
import { eventField } from "./event-fields.ts";
import type { EventEnvelope, EventExchange, EventSubscription, SubscribeOptions } from "./ports.ts";

export interface ExchangeOptions {
  /** Called for each event that a subscriber lost. */
  readonly onDrop?: (topic: string) => void;
  /** Called for each event that came in. */
  readonly onEvent?: (topic: string) => void;
}

interface Subscriber {
  readonly passes: (envelope: EventEnvelope) => boolean;
  readonly queue: EventQueue<EventEnvelope>;
}

const defaultCapacity = 4096;
/** What a subscriber that does not read may leave waiting: a shim may send events of 4 MiB. */
const waitingBytes = ourShares().eventBytes;
const envelopeBytes = 256;

/** Brings events to those who subscribed, in this process's memory. */
export class Exchange implements EventExchange {
  readonly #options: ExchangeOptions;
  readonly #subscribers = new Set<Subscriber>();

  constructor(options: ExchangeOptions = {}) {
    this.#options = options;
  }

  publish(namespace: string, topic: string, event: ProtoAny): void {
    this.forward({ timestampNanos: nowNanos(), namespace, topic, event });
  }

  forward(envelope: EventEnvelope): void {
    checkIdentifier("namespace", envelope.namespace);
    checkTopic(envelope.topic);
    this.#options.onEvent?.(envelope.topic);
    for (const { passes, queue } of this.#subscribers) if (passes(envelope)) queue.push(envelope);
  }

  subscribe(filters: readonly string[], options: SubscribeOptions = {}): EventSubscription {
    const subscriber: Subscriber = {
      passes: compileFilters(filters, eventField),
      queue: new EventQueue({
        capacity: options.capacity ?? defaultCapacity,
        weight: {
          capacity: waitingBytes,
          of: ({ event }) => event.value.byteLength + envelopeBytes,
        },
        drop: "oldest",
        onDrop: (lost) => this.#options.onDrop?.(lost.topic),
      }),
    };
    this.#subscribers.add(subscriber);
    return new Subscription(subscriber.queue, () => this.#subscribers.delete(subscriber));
  }
}

class Subscription implements EventSubscription {
  readonly #queue: EventQueue<EventEnvelope>;
  readonly #leave: () => void;

  constructor(queue: EventQueue<EventEnvelope>, leave: () => void) {
    this.#queue = queue;
    this.#leave = leave;
  }

  get dropped(): number {
    return this.#queue.dropped;
  }

  read(call?: Partial<Cancellable>): AsyncGenerator<EventEnvelope, void, undefined> {
    return this.#queue.read(call);
  }

  [Symbol.dispose](): void {
    this.#leave();
    this.#queue.close();
  }
}

function checkTopic(topic: string): void {
  const parts = topic.split("/");
  if (parts.length < 2 || parts[0] !== "") {
    throw fault("INVALID_ARGUMENT", `topic "${topic}" is invalid: it must start with "/"`);
  }
  for (const part of parts.slice(1)) checkIdentifier(`part of topic "${topic}"`, part);
}
