// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "./cancellable.ts";
import { onAbort } from "./on-abort.ts";

export interface EventQueueOptions<T> {
  /** How many items may wait. */
  readonly capacity: number;
  /** How much the waiting items may weigh together, and how much one weighs: bytes, for items of any size. */
  readonly weight?: { readonly capacity: number; readonly of: (item: T) => number };
  /** Which item is dropped when the queue is full. */
  readonly drop: "oldest" | "newest";
  /** Called for every item that was dropped. */
  readonly onDrop?: (item: T) => void;
}

/**
 * A bounded queue with one reader. `push` never waits, so a slow reader cannot hold the writer; what
 * does not fit is dropped and counted. Reading ends when the queue is closed and empty.
 */
export class EventQueue<T> implements Disposable {
  readonly #options: EventQueueOptions<T>;
  #items: T[] = [];
  #head = 0;
  #dropped = 0;
  #weight = 0;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(options: EventQueueOptions<T>) {
    if (!(options.capacity >= 1)) {
      throw new RangeError(`cannot make queue: capacity is ${options.capacity}`);
    }
    this.#options = options;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** Ignored once the queue is closed. */
  push(item: T): void {
    if (this.#closed) return;
    while (!this.#fits(item)) {
      this.#dropped += 1;
      const isNewest = this.#options.drop === "newest" || this.size === 0;
      const lost = isNewest ? item : this.#take();
      this.#options.onDrop?.(lost);
      if (isNewest) return;
    }
    this.#items.push(item);
    this.#weight += this.#options.weight?.of(item) ?? 0;
    this.#wake?.();
  }

  #fits(item: T): boolean {
    const { capacity, weight } = this.#options;
    if (this.size >= capacity) return false;
    return weight === undefined || this.#weight + weight.of(item) <= weight.capacity;
  }

  /** Ends the reading once the queue is empty. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.#items = [];
    this.#head = 0;
    this.#weight = 0;
    this.close();
  }

  /** The items as they come. Rejects with the signal's reason when it fires. */
  async *read(call: Partial<Cancellable> = {}): AsyncGenerator<T, void, undefined> {
    const { signal } = call;
    using _reaction = onAbort(signal, () => this.#wake?.());
    for (;;) {
      signal?.throwIfAborted();
      if (this.size > 0) yield this.#take();
      else if (this.#closed) return;
      else await this.#more();
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return this.read();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #take(): T {
    const item = this.#items[this.#head] as T;
    this.#head += 1;
    this.#weight -= this.#options.weight?.of(item) ?? 0;
    // Shift in bulk: moving the array for each item would make a long queue quadratic.
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
