// SPDX-License-Identifier: Apache-2.0
import type { FuzzTarget } from "../target.ts";
import { Features, takePairs, watchPairs } from "./coverage.ts";
import type { Executor, Finding } from "./executor.ts";
import { mutate } from "./mutate.ts";
import { Pool } from "./pool.ts";
import { Random } from "./random.ts";
import { firstInputs, usualMaxBytes } from "./targets.ts";

export interface SearchOptions {
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  /** Texts that stand in the code. */
  readonly words: readonly string[];
}

/** The search for inputs that come to new places, by changes of those that did so before. */
export class Search {
  readonly #target: FuzzTarget;
  readonly #executor: Executor;
  readonly #options: SearchOptions;
  readonly #features = new Features();
  readonly #pool = new Pool();
  readonly #random: Random;

  constructor(target: FuzzTarget, executor: Executor, options: SearchOptions) {
    this.#target = target;
    this.#executor = executor;
    this.#options = options;
    this.#random = new Random(options.seed, target.name);
  }

  get kept(): number {
    return this.#pool.size;
  }

  reached(first: number, end: number): number {
    return this.#features.reached(first, end);
  }

  /** Until something is found, or the runs or the time are over. Same seed, same inputs. */
  async run(): Promise<Finding | undefined> {
    const { runs, seconds } = this.#options;
    const maxBytes = this.#target.maxBytes ?? usualMaxBytes;
    const words = [...(this.#target.dictionary ?? []), ...this.#options.words];
    const random = this.#random;
    const other = (): Buffer => this.#pool.pick(random).input;
    let done = 0;
    for (const input of [Buffer.alloc(0), ...(await firstInputs(this.#target))]) {
      const found = await this.#try(input);
      if (found) return found;
      done += 1;
    }
    // The clock is asked before each input: what is slow does not run over.
    const until = performance.now() + seconds * 1000;
    for (; done < runs && performance.now() < until; done += 1) {
      const { input, pairs } = this.#pool.pick(random);
      const made = mutate(input, { random, maxBytes, words, other, pairs });
      const found = await this.#try(made);
      if (found) return found;
    }
    return this.#executor.settle();
  }

  async #try(input: Buffer): Promise<Finding | undefined> {
    this.#features.begin();
    const found = await this.#executor.run(input);
    if (found) return found;
    const features = this.#features.take(input.length);
    if (features.length === 0) return undefined;
    watchPairs();
    const again = await this.#executor.run(input);
    const pairs = takePairs();
    this.#pool.add(
      { input, pairs: [...new Map(pairs.map((pair) => [pair.join("\0"), pair])).values()] },
      features,
    );
    return again;
  }
}
