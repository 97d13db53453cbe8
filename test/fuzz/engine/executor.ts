// SPDX-License-Identifier: Apache-2.0
import { setImmediate } from "node:timers/promises";
import type { FuzzTarget } from "../target.ts";
import { beginAllocations } from "./allocations.ts";
import type { Canary } from "./canary.ts";
import type { CurrentInput } from "./current-input.ts";

/** After so many inputs the event loop turns, and the surroundings are looked at. */
const batch = 64;
/** The limit of one input. */
export const slowMs = 1000;

/** Something does not hold. */
export interface Finding {
  readonly problem: "threw" | "late" | "outside" | "slow";
  readonly error: unknown;
  readonly input: Buffer;
}

/** Runs inputs and says what does not hold. */
export class Executor implements Disposable {
  readonly #target: FuzzTarget;
  readonly #current: CurrentInput;
  readonly #canary: Canary;
  readonly #recent: Buffer[] = [];
  #late: { readonly error: unknown } | undefined;
  #fail: ((error: unknown) => void) | undefined;
  readonly #onLate = (error: unknown): void => {
    this.#late ??= { error };
    this.#fail?.(error);
  };

  constructor(target: FuzzTarget, current: CurrentInput, canary: Canary) {
    this.#target = target;
    this.#current = current;
    this.#canary = canary;
    process.on("uncaughtException", this.#onLate);
    process.on("unhandledRejection", this.#onLate);
  }

  /** From now on what throws is the fuzzer's own fault, and ends the process. */
  [Symbol.dispose](): void {
    process.off("uncaughtException", this.#onLate);
    process.off("unhandledRejection", this.#onLate);
  }

  /** Runs one input; now and then it also looks whether those before it left something. */
  async run(input: Buffer): Promise<Finding | undefined> {
    const found = await this.#one(input);
    if (found !== undefined) return found;
    this.#recent.push(input);
    return this.#recent.length < batch ? undefined : this.settle();
  }

  /** Looks whether the inputs since the last look left something: a late rejection, or a file outside. */
  async settle(): Promise<Finding | undefined> {
    const suspects = this.#recent.splice(0);
    const problem = await this.#after();
    if (problem === undefined) return undefined;
    for (const input of suspects.slice(0, -1)) {
      const found = (await this.#one(input)) ?? (await this.#after());
      if (found !== undefined) return { ...found, input };
    }
    return { ...problem, input: suspects.at(-1) ?? Buffer.alloc(0) };
  }

  /** Runs one input, and waits for what it left. */
  async alone(input: Buffer): Promise<Finding | undefined> {
    const found = (await this.#one(input)) ?? (await this.#after());
    return found && { ...found, input };
  }

  async #one(input: Buffer): Promise<Finding | undefined> {
    const first = await this.#timed(input);
    if (first.error !== undefined) return { problem: "threw", error: first.error.value, input };
    if (first.wallMs < slowMs) return undefined;
    // It may have been the machine that was slow.
    const second = await this.#timed(input);
    if (second.cpuMs < slowMs) return undefined;
    const error = new Error(`takes ${Math.round(second.cpuMs)} ms of processor time`);
    return { problem: "slow", error, input };
  }

  async #timed(
    input: Buffer,
  ): Promise<{ error?: { readonly value: unknown }; wallMs: number; cpuMs: number }> {
    this.#current.begin(input);
    beginAllocations();
    const startedAt = performance.now();
    const cpuBefore = process.threadCpuUsage();
    const past = (): { wallMs: number; cpuMs: number } => {
      const { user, system } = process.threadCpuUsage(cpuBefore);
      return { wallMs: performance.now() - startedAt, cpuMs: (user + system) / 1000 };
    };
    try {
      // A copy: a parser may write into what it is given, or keep it.
      const result = this.#target.run(Buffer.from(input));
      if (result !== undefined) {
        await new Promise<void>((resolve, reject) => {
          this.#fail = reject;
          result.then(resolve, reject);
        });
      }
      return past();
    } catch (value) {
      if (this.#late?.error === value) this.#late = undefined;
      return { error: { value }, ...past() };
    } finally {
      this.#fail = undefined;
      this.#current.end();
    }
  }

  async #after(): Promise<Omit<Finding, "input"> | undefined> {
    await setImmediate();
    await setImmediate();
    const late = this.#late;
    this.#late = undefined;
    if (late !== undefined) return { problem: "late", error: late.error };
    try {
      await this.#canary.check();
    } catch (error) {
      return { problem: "outside", error };
    }
    return undefined;
  }
}
