// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { ProtoAny } from "../gen/wellknown.gen.ts";

/** Something that happened: the shape that shims forward and subscribers get. */
export interface EventEnvelope {
  readonly timestampNanos: bigint;
  readonly namespace: string;
  /** For example `/tasks/exit`. */
  readonly topic: string;
  /** The message, for example a `containerd.events.TaskExit`. */
  readonly event: ProtoAny;
}

/**
 * Passes events on to their subscribers. Publishing never waits: each subscriber has a bounded
 * queue, and a slow one loses its oldest events (counted). So an event is a hint; whoever must know
 * for sure asks for the state.
 */
export interface EventExchange {
  /** Stamps the event with the present time. INVALID_ARGUMENT for a bad namespace or topic. */
  publish(namespace: string, topic: string, event: ProtoAny): void;
  /** Passes on an event that has its time already. INVALID_ARGUMENT as with publish. */
  forward(envelope: EventEnvelope): void;
  /**
   * Every event from now on that passes one of the filters (fields `namespace`, `topic` and
   * `event.FIELD`; no filters: all). The subscription stands when this returns. INVALID_ARGUMENT
   * for a bad filter.
   */
  subscribe(filters: readonly string[], options?: SubscribeOptions): EventSubscription;
}

export interface SubscribeOptions {
  /** Events that may wait for this subscriber; default 4096. */
  readonly capacity?: number;
}

export interface EventSubscription extends Disposable {
  /** How many events this subscriber has lost. */
  readonly dropped: number;
  /** The events; ends when the subscription is disposed, rejects when the signal fires. One reader. */
  read(call?: Partial<Cancellable>): AsyncGenerator<EventEnvelope, void, undefined>;
}
