// SPDX-License-Identifier: Apache-2.0
import { startTimer, type Timer } from "../../base/timers.ts";
import type { CriParts } from "../parts.ts";
import { type TellNeeds, tellNoticed } from "./tell-facts.ts";

type Needs = TellNeeds & Pick<CriParts, "containers">;

/** For so long after a kill it is waited whether the container ends by it. */
const settleMs = 3_000;

/**
 * Tells of processes that the kernel has killed for want of memory while their container goes on. A kill that ends the
 * container is the exit's reason, OOMKilled, and a kubelet tells of that.
 */
export class ChildOoms implements Disposable {
  readonly #parts: Needs;
  readonly #settleMs: number;
  /** One a container: more kills meanwhile are told as one. */
  readonly #pending = new Map<string, Timer>();

  constructor(parts: Needs, ms = settleMs) {
    this.#parts = parts;
    this.#settleMs = ms;
  }

  /** A shim has told of a kill in this container's cgroup. */
  killed(id: string): void {
    if (this.#pending.has(id) || !this.#isRunning(id)) return;
    const timer = startTimer(() => {
      this.#pending.delete(id);
      if (!this.#isRunning(id)) return;
      tellNoticed(this.#parts, {
        kind: "ProcessOOMKilled",
        id,
        message: (name) =>
          `a process in container "${name}" was killed for want of memory, and the container goes on`,
      });
    }, this.#settleMs);
    this.#pending.set(id, timer.unref());
  }

  [Symbol.dispose](): void {
    for (const timer of this.#pending.values()) timer.stop();
    this.#pending.clear();
  }

  #isRunning(id: string): boolean {
    return this.#parts.containers.get(id)?.state.kind === "running";
  }
}
