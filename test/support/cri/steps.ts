// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../../src/base/errors.ts";

/** What fakes did, in order; and the place to make one of them fail or wait. */
export class Steps {
  done: string[] = [];
  /** A step of this name fails instead of being done. */
  readonly failing = new Map<string, Error>();
  /** A step of this name waits for the promise first. */
  readonly held = new Map<string, Promise<void>>();
  /** The steps that have come to such a promise, in order. */
  readonly waited: string[] = [];

  fail(step: string, error: Error = fault("INTERNAL", `${step} failed`)): void {
    this.failing.set(step, error);
  }

  async run(step: string): Promise<void> {
    const held = this.held.get(step);
    if (held) this.waited.push(step);
    await held;
    const error = this.failing.get(step);
    if (error) {
      this.done.push(`${step} failed`);
      throw error;
    }
    this.done.push(step);
  }

  /** What was done since the last look. */
  take(): string[] {
    return this.done.splice(0);
  }
}
