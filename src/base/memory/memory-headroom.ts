// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../cancellable.ts";
import { fault, type RuntimeFault } from "../errors.ts";
import { sleep } from "../timers.ts";
import { gaveBackOwn, giveBackKernels } from "./give-back.ts";
import { heldBytesOf, type MemoryLimit, readMemoryLimit } from "./memory-limit.ts";

export interface HeadroomOptions {
  readonly limit: MemoryLimit;
  /** What the cgroup holds, in bytes, without file pages. */
  readonly heldBytes: () => number;
  /** Has the kernel take back what it can, but not too often. Called when there is no room. */
  readonly reclaim?: () => void;
}

export interface ClaimOptions {
  readonly what: string;
  /** Bytes that must stay free beside it. */
  readonly kept?: number;
  readonly patienceMs?: number;
}

const mib = 2 ** 20;
/** How often work that waits checks whether there is room by now. */
const lookMs = 50;

/**
 * What the daemon's cgroup has left for programs that run in it. Each says how much it will take before it starts: a
 * hundred at once would have the daemon killed. Where no cgroup limits it there is always room.
 */
export class MemoryHeadroom {
  readonly #limit: MemoryLimit;
  readonly #heldBytes: () => number;
  readonly #reclaim: (() => void) | undefined;
  #promisedBytes = 0;

  constructor({ limit, heldBytes, reclaim }: HeadroomOptions) {
    this.#limit = limit;
    this.#heldBytes = heldBytes;
    this.#reclaim = reclaim;
  }

  /**
   * Waits until there is room beside the programs that run. One alone always runs, or nothing could ever be stopped.
   */
  async promise(bytes: number, { signal }: Partial<Cancellable>): Promise<Disposable> {
    while (this.#promisedBytes > 0 && !this.#fits(this.#promisedBytes + bytes)) {
      await sleep(lookMs, { signal });
    }
    return this.#promised(bytes);
  }

  /**
   * The same for work that can be refused: waits a bounded time until so much is left, with `kept` bytes beside it.
   * RESOURCE_EXHAUSTED about `what` when it is not.
   */
  async claim(
    bytes: number,
    { what, kept = 0, patienceMs = 5_000 }: ClaimOptions,
    call: Cancellable,
  ): Promise<Disposable> {
    const until = performance.now() + patienceMs;
    while (!this.#fits(this.#promisedBytes + bytes + kept)) {
      if (performance.now() >= until) throw this.#refusal(what, bytes, kept);
      this.#reclaim?.();
      await sleep(2 * lookMs, call);
    }
    return this.#promised(bytes);
  }

  #promised(bytes: number): Disposable {
    this.#promisedBytes += bytes;
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.#promisedBytes -= bytes;
        isHeld = false;
      },
    };
  }

  #refusal(what: string, bytes: number, kept: number): RuntimeFault {
    const { cgroup, bytes: all } = this.#limit;
    const rest = kept === 0 ? "" : `, of which ${inMib(kept)} are kept for what runs`;
    return fault(
      "RESOURCE_EXHAUSTED",
      `${what} is refused: the daemon is short of memory: it takes ${inMib(bytes)}, and cgroup "${cgroup}" has ${inMib(this.#left())} left of ${inMib(all)}${rest}; try again later, or allow it more`,
    );
  }

  #fits(bytes: number): boolean {
    return this.#limit.cgroup === undefined || this.#left() >= bytes;
  }

  #left(): number {
    return this.#limit.bytes - this.#heldBytes();
  }
}

let own: MemoryHeadroom | undefined;

/** The room of this daemon. */
export function ownHeadroom(): MemoryHeadroom {
  if (own === undefined) {
    const limit = readMemoryLimit();
    own = new MemoryHeadroom({
      limit,
      heldBytes: () => heldBytesOf(limit),
      reclaim: () => {
        giveBackKernels(limit);
        gaveBackOwn();
      },
    });
  }
  return own;
}

function inMib(bytes: number): string {
  return `${Math.round(bytes / mib)} MiB`;
}
