// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../cancellable.ts";
import { fault, type RuntimeFault } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import { type OneTimer, startTimer } from "../timers.ts";

export interface MemoryPoolOptions {
  /** What the memory is for, for messages and metrics: "requests". */
  readonly name: string;
  readonly limitBytes: number;
  /** How long a call waits for its share. Default 10000. */
  readonly patienceMs?: number;
  /** How many may wait. Default 256. */
  readonly waiting?: number;
  /**
   * Called with the bytes that were given back, before others get them: they may be garbage that is not collected
   * yet.
   */
  readonly onGivenBack?: (bytes: number) => void;
}

/** A share of a pool; disposing gives it back, once. */
export interface Reservation extends Disposable {
  readonly bytes: number;
}

export interface TakeOptions extends Cancellable {
  /**
   * For memory that is held until somebody else acts, such as a client that reads its answer: called when others have
   * waited for it for some time. The share is to be given back then.
   */
  readonly onRevoke?: (reason: RuntimeFault) => void;
}

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
}

/**
 * Memory that one kind of work shares. Work takes its share before it uses it. While too little is free it waits, in
 * the order of arrival and for a bounded time, and is then refused.
 */
export class MemoryPool {
  readonly name: string;
  readonly limitBytes: number;
  readonly #patienceMs: number;
  readonly #maxWaiting: number;
  readonly #onGivenBack: ((bytes: number) => void) | undefined;
  readonly #waiting: Waiter[] = [];
  readonly #revocable = new Map<Reservation, () => void>();
  #heldBytes = 0;
  #refused = 0;

  constructor(options: MemoryPoolOptions) {
    const { name, limitBytes, patienceMs = 10_000, waiting = 256, onGivenBack } = options;
    this.name = name;
    this.#onGivenBack = onGivenBack;
    this.limitBytes = limitBytes;
    this.#patienceMs = patienceMs;
    this.#maxWaiting = waiting;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** How many were refused since the start. */
  get refused(): number {
    return this.#refused;
  }

  /** At once, or not at all: undefined when it is not free, which is not counted as refused. */
  tryTake(bytes: number): Reservation | undefined {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return undefined;
    this.#heldBytes += bytes;
    return this.#reservation(bytes);
  }

  /** RESOURCE_EXHAUSTED, with `what` as its subject, when it is too much, or not free in time. */
  async take(bytes: number, what: string, { signal, onRevoke }: TakeOptions): Promise<Reservation> {
    signal.throwIfAborted();
    if (bytes > this.limitBytes) {
      throw this.refuse(
        what,
        `it takes ${bytes} bytes of memory, and the daemon has ${this.limitBytes} for all ${this.name}`,
      );
    }
    const isFree = this.#waiting.length === 0 && this.#fits(bytes);
    if (isFree) this.#heldBytes += bytes;
    else if (this.#waiting.length >= this.#maxWaiting) throw this.#exhausted(what);
    else await this.#turn(bytes, what, signal);
    const reservation = this.#reservation(bytes);
    if (onRevoke) this.#revocable.set(reservation, () => onRevoke(this.#exhausted(what)));
    return reservation;
  }

  /** Makes a fault to throw, and counts it. */
  refuse(what: string, why: string): RuntimeFault {
    this.#refused += 1;
    return fault("RESOURCE_EXHAUSTED", `${what} is refused: ${why}`);
  }

  #exhausted(what: string): RuntimeFault {
    return this.refuse(
      what,
      `${this.name} hold ${this.#heldBytes} bytes of memory, of ${this.limitBytes} at most: try again later, with fewer at once`,
    );
  }

  /** Resolves when the share has been taken on the waiter's behalf. */
  #turn(bytes: number, what: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timers: OneTimer[] = [];
      const settle = (): void => {
        for (const timer of timers) timer.stop();
        reaction[Symbol.dispose]();
      };
      const leave = (error: Error): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        settle();
        reject(error);
        this.#admitWaiting(); // a large request at the head may have held up smaller ones
      };
      const waiter: Waiter = {
        bytes,
        admit: () => {
          settle();
          resolve();
        },
      };
      this.#waiting.push(waiter);
      timers.push(
        startTimer(() => this.#revoke(bytes), this.#patienceMs / 2),
        startTimer(() => leave(this.#exhausted(what)), this.#patienceMs),
      );
      const reaction = onAbort(signal, leave);
    });
  }

  #admitWaiting(): void {
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#heldBytes += next.bytes;
      next.admit();
    }
  }

  #fits(bytes: number): boolean {
    return this.#heldBytes + bytes <= this.limitBytes;
  }

  /** Takes back shares that are held for others who do not act: the oldest first, as many as `bytes` need. */
  #revoke(bytes: number): void {
    let missing = this.#heldBytes + bytes - this.limitBytes;
    for (const [reservation, revoke] of this.#revocable) {
      if (missing <= 0) return;
      missing -= reservation.bytes;
      revoke();
      reservation[Symbol.dispose]();
    }
  }

  #reservation(bytes: number): Reservation {
    let isHeld = true;
    const reservation: Reservation = {
      bytes,
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#revocable.delete(reservation);
        this.#heldBytes -= bytes;
        this.#onGivenBack?.(bytes);
        this.#admitWaiting();
      },
    };
    return reservation;
  }
}
