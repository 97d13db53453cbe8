// SPDX-License-Identifier: Apache-2.0
import type { PluginCall } from "./calls.ts";
import type { CallReport, CallWatch } from "./ports.ts";

/** How a plugin's calls went, by their names. */
export class CallCounts {
  readonly #plugin: string;
  readonly #watch: CallWatch | undefined;
  readonly #calls = new Map<PluginCall, { -readonly [K in keyof CallReport]: CallReport[K] }>();

  /** `plugin` is what it is called, `10-name`. */
  constructor(plugin: string, watch: CallWatch | undefined) {
    this.#plugin = plugin;
    this.#watch = watch;
  }

  /** A call that the plugin has answered after so many milliseconds. */
  answered(call: PluginCall, ms: number): void {
    const counts = this.#of(call);
    counts.count += 1;
    counts.totalMs += ms;
    counts.longestMs = Math.max(counts.longestMs, ms);
    this.#watch?.answered(call, ms / 1000);
  }

  /** Who asked has had its answer. */
  served(call: PluginCall): void {
    this.#watch?.ended(this.#plugin, call, "answered");
  }

  /** It refused, was late, or was not asked because it was late. */
  failed(call: PluginCall): void {
    this.#of(call).failures += 1;
    this.#watch?.ended(this.#plugin, call, "failed");
  }

  /** An answer has changed something. */
  adjusted(call: PluginCall): void {
    this.#of(call).adjustments += 1;
    this.#watch?.adjusted(this.#plugin);
  }

  report(): Readonly<Record<string, CallReport>> {
    return Object.fromEntries([...this.#calls].map(([call, counts]) => [call, { ...counts }]));
  }

  #of(call: PluginCall): { -readonly [K in keyof CallReport]: CallReport[K] } {
    let counts = this.#calls.get(call);
    if (counts === undefined) {
      counts = { count: 0, totalMs: 0, longestMs: 0, failures: 0, adjustments: 0 };
      this.#calls.set(call, counts);
    }
    return counts;
  }
}
