// SPDX-License-Identifier: Apache-2.0
import { nowNanos } from "../../base/now.ts";
import { type ProcessIdentity, unreapedExit } from "../../base/os/proc.ts";
import type { ProcessExit } from "../ports.ts";

const killedStatus = 137;

/** What is known of the end of a task's init: as the shim tells it, or as we saw it where the shim is silent. */
export class InitEnd {
  readonly #seen = Promise.withResolvers<ProcessExit>();
  #exit: ProcessExit | undefined;
  #isUntold = false;

  /** undefined while it is not known to have ended. */
  get exit(): ProcessExit | undefined {
    return this.#exit;
  }

  /** We have seen it, and the shim has not told of it. */
  get isUntold(): boolean {
    return this.#isUntold;
  }

  /** Settles once we have seen it. */
  get seen(): Promise<ProcessExit> {
    return this.#seen.promise;
  }

  /** The shim tells of it: the first time counts. */
  tell(exit: ProcessExit): void {
    this.#exit ??= exit;
    this.#isUntold = false;
  }

  /** Init has ended. Answers the exit when the shim had not told of it: what init left behind, else that of a kill. */
  see(pid: number, init: ProcessIdentity | undefined): ProcessExit | undefined {
    const isNew = this.#exit === undefined;
    const exit = this.#exit ?? {
      pid,
      exitStatus: (init && unreapedExit(init)) ?? killedStatus,
      exitedAtNanos: nowNanos(),
    };
    this.#exit = exit;
    this.#isUntold ||= isNew;
    this.#seen.resolve(exit);
    return isNew ? exit : undefined;
  }
}
