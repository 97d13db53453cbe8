// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { EventQueue } from "../../base/event-queue.ts";
import { ourShares } from "../../base/memory/memory-shares.ts";
import { onAbort } from "../../base/on-abort.ts";
import { leastSizeOf } from "../../rpc/message-size.ts";

/** What these may weigh together, by their texts: each tells all of a pod's labels and annotations. */
const backlogBytes = ourShares().eventBytes;
/** How many events wait for a reader that is behind; beyond that it loses the oldest. */
const backlog = 1000;

/** An event that waits, and what it weighs. */
interface Weighed<T> {
  readonly event: T;
  readonly bytes: number;
}

/**
 * Hands events to any number of readers, none of which can hold up the writer. Nothing is kept for
 * readers to come: one that subscribes lists first, as kubelets do.
 */
export class EventStream<T> {
  readonly #readers = new Set<EventQueue<Weighed<T>>>();
  readonly #onDrop: (() => void) | undefined;
  readonly #capacity: number;
  #isClosed = false;

  /** `onDrop` is told of every event that a reader has lost. */
  constructor(onDrop?: () => void, capacity = backlog) {
    this.#onDrop = onDrop;
    this.#capacity = capacity;
  }

  /** False when making an event would be work for nobody. */
  get hasReaders(): boolean {
    return this.#readers.size > 0;
  }

  publish(event: T): void {
    const weighed = { event, bytes: leastSizeOf(event) };
    for (const reader of this.#readers) reader.push(weighed);
  }

  /** The events from now on, until the call ends or the stream is closed. */
  subscribe({ signal }: Cancellable): AsyncIterable<T> {
    const queue = new EventQueue<Weighed<T>>({
      capacity: this.#capacity,
      weight: { capacity: backlogBytes, of: ({ bytes }) => bytes },
      drop: "oldest",
      ...(this.#onDrop && { onDrop: this.#onDrop }),
    });
    if (this.#isClosed) queue.close();
    else this.#readers.add(queue);
    // A call that ends before its first read would otherwise stay subscribed.
    const reaction = onAbort(signal, () => this.#readers.delete(queue));
    const leave = (): void => {
      reaction[Symbol.dispose]();
      this.#readers.delete(queue);
    };
    return readUntil(queue, signal, leave);
  }

  /** Ends every reading after what is queued. */
  close(): void {
    this.#isClosed = true;
    for (const reader of this.#readers) reader.close();
    this.#readers.clear();
  }
}

async function* readUntil<T>(
  queue: EventQueue<Weighed<T>>,
  signal: AbortSignal,
  leave: () => void,
): AsyncGenerator<T, void, undefined> {
  try {
    for await (const { event } of queue.read({ signal })) yield event;
  } finally {
    leave();
  }
}
