// SPDX-License-Identifier: Apache-2.0
import type { Config } from "./config.ts";

/**
 * The configuration that holds now. What works for long reads `current` for each piece of work and
 * keeps what it got to the end of it, so that nothing sees half of a reload.
 */
export class LiveConfig {
  #current: Config;

  constructor(config: Config) {
    this.#current = config;
  }

  get current(): Config {
    return this.#current;
  }

  /** For the reload alone. */
  replace(next: Config): void {
    this.#current = next;
  }
}
