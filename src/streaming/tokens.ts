// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { fault } from "../base/errors.ts";

const lifetimeMs = 60_000;
const maxOutstanding = 1000;

export interface TokenOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/**
 * One-time tokens for the URLs of CRI's Exec, Attach and PortForward: 128 random bits, good for one use
 * within a minute, at most 1,000 at a time, as kubelets expect of a runtime.
 */
export class Tokens<T> {
  readonly #now: () => number;
  /** In the order of their expiry, since all live equally long. */
  readonly #entries = new Map<string, { readonly value: T; readonly expiresAt: number }>();

  constructor({ now = () => performance.now() }: TokenOptions = {}) {
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** RESOURCE_EXHAUSTED with too many outstanding. */
  issue(value: T): string {
    this.#dropExpired();
    if (this.#entries.size >= maxOutstanding) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `cannot issue a streaming URL: ${maxOutstanding} are waiting to be used`,
      );
    }
    const token = randomBytes(16).toString("base64url");
    this.#entries.set(token, { value, expiresAt: this.#now() + lifetimeMs });
    return token;
  }

  /** The value of a token that is still good; undefined otherwise. It stays good. */
  peek(token: string): T | undefined {
    this.#dropExpired();
    return this.#entries.get(token)?.value;
  }

  /** Uses a token up. False when somebody else was faster. */
  consume(token: string): boolean {
    return this.#entries.delete(token);
  }

  #dropExpired(): void {
    const now = this.#now();
    for (const [token, { expiresAt }] of this.#entries) {
      if (expiresAt > now) return;
      this.#entries.delete(token);
    }
  }
}
