// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { KeyedMutex } from "../../base/keyed-mutex.ts";

/**
 * The order of a container's changes of limits and its start: each begins with what the one before has set. There are two
 * turns, because plugins are asked in the midst of a verb, and what they do meanwhile about the same container must not
 * wait for them. Who needs both takes the verb's first.
 */
export class LimitTurns {
  readonly #verbs = new KeyedMutex();
  readonly #changes = new KeyedMutex();

  /** The turn of a kubelet's update or start, in the order in which these come. It is held while plugins are asked. */
  verb(id: string, call: Cancellable): Promise<Disposable> {
    return this.#verbs.lock(id, call);
  }

  /**
   * The turn of one change, or of a task that is made with the present limits. Unlike other locks it is held across the
   * shim's work: whoever waits is about the same container, and has a time of its own. It is lent while plugins are asked,
   * but for a task that is restored, which takes no limits before it runs.
   */
  async change(id: string, call: Cancellable): Promise<ChangeTurn> {
    const lock = (): Promise<Disposable> => this.#changes.lock(id, call);
    return new LentTurn(lock, await lock());
  }
}

export interface ChangeTurn extends Disposable {
  /** Leaves the turn to others while `work` runs, and waits for it anew. */
  lend<T>(work: () => Promise<T>): Promise<T>;
}

class LentTurn implements ChangeTurn {
  readonly #lock: () => Promise<Disposable>;
  #held: Disposable;

  constructor(lock: () => Promise<Disposable>, held: Disposable) {
    this.#lock = lock;
    this.#held = held;
  }

  async lend<T>(work: () => Promise<T>): Promise<T> {
    this.#held[Symbol.dispose]();
    const result = await work();
    this.#held = await this.#lock();
    return result;
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
  }
}
