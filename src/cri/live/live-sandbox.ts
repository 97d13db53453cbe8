// SPDX-License-Identifier: Apache-2.0
import { LiveTask } from "./live-task.ts";

/**
 * A sandbox as the daemon holds it, with the states of its task (LiveTask) and, each for itself:
 *
 *     its network's end    0 failures ──networkFailed──▶ 1 ──networkFailed──▶ 2 …
 *     its network's CHECK  not made ──networkChecked──▶ "OK", or what is amiss
 */
export class LiveSandbox extends LiveTask {
  #networkFailures = 0;
  #networkCheck: string | undefined;

  /** How often taking the network down has failed. */
  get networkFailures(): number {
    return this.#networkFailures;
  }

  networkFailed(): void {
    this.#networkFailures += 1;
  }

  /** What CHECK found when the daemon last started; undefined where there was none. */
  get networkCheck(): string | undefined {
    return this.#networkCheck;
  }

  /** `found` is "OK", or says what is amiss. Of one that ends it says nothing: false. */
  networkChecked(found: string): boolean {
    if (this.ending) return false;
    this.#networkCheck = found;
    return true;
  }
}
