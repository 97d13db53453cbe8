// SPDX-License-Identifier: Apache-2.0
import { throwFault } from "../../base/errors.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { ProcessExit } from "../ports.ts";

/**
 * The exits of a task's processes, known and awaited. There is at most one pending Wait per process
 * in the shim, however many wait here and however often they give up: ttrpc cannot cancel, so each
 * further one would stay in the shim for good.
 */
export class ExitTable {
  readonly #waitForExit: (execId: string) => Promise<ProcessExit>;
  readonly #waits = new Map<string, Promise<ProcessExit>>();

  /** `waitForExit` asks the shim once; it rejects when there is no such process. */
  constructor(waitForExit: (execId: string) => Promise<ProcessExit>) {
    this.#waitForExit = waitForExit;
  }

  async wait(execId: string, signal: AbortSignal): Promise<ProcessExit> {
    return unlessAborted(this.#shared(execId), signal).catch(throwFault);
  }

  /** Drops a deleted process, so that its id can be used again. */
  forget(execId: string): void {
    this.#waits.delete(execId);
  }

  #shared(execId: string): Promise<ProcessExit> {
    const known = this.#waits.get(execId);
    if (known !== undefined) return known;
    const wait = this.#waitForExit(execId);
    this.#waits.set(execId, wait);
    wait.catch(() => {
      if (this.#waits.get(execId) === wait) this.#waits.delete(execId);
    });
    return wait;
  }
}
