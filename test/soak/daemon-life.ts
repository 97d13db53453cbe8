// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { isFault } from "../../src/base/errors.ts";
import type { Daemon } from "../support/daemon.ts";
import type { Random } from "../support/random.ts";
import { GivenUp } from "../support/until.ts";

/** What a caller may get whose daemon is killed under it; anything else is a fault. */
const cut = ["UNAVAILABLE", "CANCELLED"] as const;

/** The daemon's lives: kills it, and tells callers whether it was killed under them. */
export class DaemonLife {
  readonly daemon: Daemon;
  kills = 0;
  /** Kills that came before the daemon served. */
  killsInStart = 0;
  #serving: Promise<void> = Promise.resolve();
  #isServing = true;

  constructor(daemon: Daemon) {
    this.daemon = daemon;
  }

  /** Resolves when the daemon serves. */
  serves(): Promise<void> {
    return this.#serving;
  }

  /**
   * Repeats a call that may be repeated (all of CRI but for what makes something) until no kill breaks
   * it. What fails without a kill fails.
   */
  async survive<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      const outcome = await this.attempt(call);
      if (outcome !== "killed") return outcome.value;
    }
  }

  /** "killed" when the daemon went away under the call; it serves again by then. */
  async attempt<T>(call: () => Promise<T>): Promise<{ readonly value: T } | "killed"> {
    await this.serves();
    const before = this.kills;
    try {
      return { value: await call() };
    } catch (error) {
      const isKilled = this.kills !== before || !this.#isServing;
      if (!isKilled || !isFault(error, ...cut)) throw error;
      await this.serves();
      return "killed";
    }
  }

  /** Kills it, and one time in five again while it starts; resolves when it serves again. */
  async kill(random: Random): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {}); // told to who waits for it, and below
    this.#serving = promise;
    this.#isServing = false;
    try {
      this.kills += 1;
      await this.daemon.kill9();
      while (random.isOneIn(5)) await this.#killInStart(random.below(600));
      await this.daemon.start();
      this.#isServing = true;
      resolve();
    } catch (error) {
      reject(error);
      throw error;
    }
  }

  async #killInStart(afterMs: number): Promise<void> {
    const start = this.daemon.start();
    const ended = start.then(
      () => "serves",
      (error: unknown) => error,
    );
    await sleep(afterMs);
    await this.daemon.kill9();
    const how = await ended;
    if (how !== "serves" && !(how instanceof GivenUp)) throw how;
    this.kills += 1;
    this.killsInStart += 1;
  }
}
