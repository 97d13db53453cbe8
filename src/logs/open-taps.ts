// SPDX-License-Identifier: Apache-2.0
import type { LogRequest } from "./messages.ts";
import type { LogTap, TapFifos } from "./ports.ts";

type Ending = Awaited<LogTap["ended"]>;

/** The taps of one container's log as the daemon sees them; the worker copies the bytes. */
export class OpenTaps {
  readonly #key: string;
  readonly #send: (request: LogRequest) => Promise<void>;
  readonly #endings = new Map<string, (why: Ending) => void>();
  #count = 0;

  constructor(key: string, send: (request: LogRequest) => Promise<void>) {
    this.#key = key;
    this.#send = send;
  }

  /** Rejects as the worker's answer does. */
  async open({ stdout, stderr }: TapFifos): Promise<LogTap> {
    this.#count += 1;
    const tap = String(this.#count);
    const { promise: ended, resolve } = Promise.withResolvers<Ending>();
    this.#endings.set(tap, resolve);
    try {
      await this.#send({ kind: "tap", key: this.#key, tap, stdout, stderr });
    } catch (error) {
      this.#endings.delete(tap);
      throw error;
    }
    return {
      ended,
      [Symbol.asyncDispose]: async () => {
        if (!this.#endings.has(tap)) return;
        this.ended(tap, "gone");
        // A worker that died has dropped the tap already.
        await this.#send({ kind: "untap", key: this.#key, tap }).catch(() => {});
      },
    };
  }

  ended(tap: string, why: Ending): void {
    this.#endings.get(tap)?.(why);
    this.#endings.delete(tap);
  }

  endAll(why: Ending): void {
    for (const tap of this.#endings.keys()) this.ended(tap, why);
  }
}
