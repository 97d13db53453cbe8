// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";
import type { Cancellable } from "../cancellable.ts";
import { fault, type RuntimeFault } from "../errors.ts";
import { type MemoryLimit, readMemoryLimit } from "./memory-limit.ts";
import { MemoryPool } from "./memory-pool.ts";
import { type MemoryPressure, watchMemory } from "./memory-pressure.ts";
import { execBytes, type MemoryShares, ourShares } from "./memory-shares.ts";

/** What `berth status` and metrics show of the budget. */
export interface MemoryFacts {
  readonly limitBytes: number;
  /** The cgroup that sets the limit; "" when it is the machine's memory. */
  readonly cgroup: string;
  /** What the cgroup counts, without file pages; null where no cgroup limits us. */
  readonly heldBytes: number | null;
  readonly heapLimitBytes: number;
  readonly pools: readonly PoolFacts[];
  /** Calls refused since the start, by what was short. */
  readonly refused: Readonly<Record<string, number>>;
}

export interface PoolFacts {
  readonly name: string;
  readonly limitBytes: number;
  readonly heldBytes: number;
}

/** The daemon's memory: what there is, what holds it, and what was refused for lack of it. */
export class MemoryBudget implements Disposable {
  readonly limit: MemoryLimit = readMemoryLimit();
  readonly shares: MemoryShares = ourShares();
  readonly #pressure: MemoryPressure = watchMemory(this.limit);
  readonly requests = this.#pool("requests", this.shares.requestBytes);
  readonly answers = this.#pool("answers", this.shares.answerBytes);
  /** Commands are quick, so many that come at once may wait for one another. */
  readonly execs = new MemoryPool({
    name: "execs",
    limitBytes: this.shares.execPlaceBytes,
    waiting: 2048,
    patienceMs: 30_000,
  });
  readonly execOutput = this.#pool("exec outputs", this.shares.execOutputBytes);
  #refusedForShortage = 0;

  get pools(): readonly MemoryPool[] {
    return [this.requests, this.answers, this.execs, this.execOutput];
  }

  /** RESOURCE_EXHAUSTED, to be thrown by what would take much memory, while next to none is left. */
  shortage(what: string): RuntimeFault | undefined {
    const shortage = this.#pressure.shortage();
    if (shortage === undefined) return undefined;
    this.#refusedForShortage += 1;
    return fault(
      "RESOURCE_EXHAUSTED",
      `${what} is refused: the daemon is short of memory: ${shortage}; try again later, or allow it more`,
    );
  }

  /** Memory for a command that runs in a container; RESOURCE_EXHAUSTED when there is none in time. */
  async placeForExec(container: string, call: Cancellable): Promise<Disposable> {
    const what = `a command in container "${container}"`;
    using stack = new DisposableStack();
    stack.use(await this.execs.take(execBytes, what, call));
    // Checked after the wait: others have begun meanwhile.
    const shortage = this.shortage(what);
    if (shortage) throw shortage;
    return stack.move();
  }

  facts(): MemoryFacts {
    return {
      limitBytes: this.limit.bytes,
      cgroup: this.limit.cgroup ?? "",
      heldBytes: this.#pressure.use()?.heldBytes ?? null,
      heapLimitBytes: v8.getHeapStatistics().heap_size_limit,
      pools: this.pools.map(({ name, limitBytes, heldBytes }) => ({ name, limitBytes, heldBytes })),
      refused: {
        ...Object.fromEntries(this.pools.map(({ name, refused }) => [name, refused])),
        memory: this.#refusedForShortage,
      },
    };
  }

  [Symbol.dispose](): void {
    this.#pressure[Symbol.dispose]();
  }

  #pool(name: string, limitBytes: number): MemoryPool {
    const onGivenBack = (bytes: number): void => this.#pressure.spent(bytes);
    return new MemoryPool({ name, limitBytes, onGivenBack });
  }
}
