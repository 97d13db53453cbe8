// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { Config } from "./config.ts";

/** What became of the last reload that was asked for. */
export interface ReloadOutcome {
  readonly result: "success" | "failure";
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** Why it failed; "" otherwise. */
  readonly reason: string;
  /** Keys that changed, old and new. */
  readonly changes: readonly string[];
}

/** What `berth status` and the metrics tell of the configuration. */
export interface ReloadFacts {
  /** SHA-256 of what holds now, in hex. */
  readonly hash: string;
  /** When what holds now was read, in milliseconds since 1970: the start, or the last good reload. */
  readonly loadedAtMs: number;
  readonly successes: number;
  readonly failures: number;
  /** Undefined when none was asked for. */
  readonly last: ReloadOutcome | undefined;
  /** Keys with what the files say, which only a restart brings. */
  readonly waiting: readonly string[];
}

/** Keeps count of reloads. */
export class ReloadHistory {
  #facts: ReloadFacts;

  constructor(config: Config) {
    this.#facts = {
      hash: hashOf(config),
      loadedAtMs: Date.now(),
      successes: 0,
      failures: 0,
      last: undefined,
      waiting: [],
    };
  }

  get facts(): ReloadFacts {
    return this.#facts;
  }

  succeeded(config: Config, changes: readonly string[], waiting: readonly string[]): void {
    const atMs = Date.now();
    this.#facts = {
      ...this.#facts,
      hash: hashOf(config),
      loadedAtMs: atMs,
      successes: this.#facts.successes + 1,
      last: { result: "success", atMs, reason: "", changes },
      waiting,
    };
  }

  failed(reason: string): void {
    this.#facts = {
      ...this.#facts,
      failures: this.#facts.failures + 1,
      last: { result: "failure", atMs: Date.now(), reason, changes: [] },
    };
  }
}

function hashOf(config: Config): string {
  return createHash("sha256").update(JSON.stringify(config)).digest("hex");
}
