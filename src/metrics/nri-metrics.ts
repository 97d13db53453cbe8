// SPDX-License-Identifier: Apache-2.0
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { NriPluginState } from "./ports.ts";

const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30];
const states = ["joining", "serving", "late", "gone"] as const;

/**
 * So many plugins have a label of their own, those that were called first: a plugin gives itself its name, and one that
 * comes with a new name each time must not make series without end. All others share "other".
 */
export const labelledPlugins = 32;
const otherPlugins = "other";

/** How the calls of NRI plugins end. None of it can throw or wait. */
export interface NriCallMetrics {
  /** A plugin has answered, in time or late. `call` is one of NRI's. */
  answered(call: string, seconds: number): void;
  /**
   * What an operation had of a call: an answer in time, or "failed": refused, late, or passed over because it was late
   * before. An answer that cannot be taken is both.
   */
  ended(plugin: string, call: string, result: "answered" | "failed"): void;
  /** An answer of it has changed something. */
  adjusted(plugin: string): void;
}

export function registerNriMetrics(registry: Registry): NriCallMetrics {
  const registers = [registry];
  const calls = new Counter({
    name: "berth_nri_calls_total",
    help: "Calls of NRI plugins, by result: answered, or failed (refused, late, or passed over because the plugin was late).",
    labelNames: ["plugin", "call", "result"],
    registers,
  });
  const seconds = new Histogram({
    name: "berth_nri_call_seconds",
    help: "Time that NRI plugins took to answer, by call; late answers too.",
    labelNames: ["call"],
    buckets,
    registers,
  });
  const adjustments = new Counter({
    name: "berth_nri_adjustments_total",
    help: "Answers of NRI plugins that changed something.",
    labelNames: ["plugin"],
    registers,
  });
  const known = new Set<string>();
  const labelOf = (plugin: string): string => {
    if (!known.has(plugin) && known.size < labelledPlugins) known.add(plugin);
    return known.has(plugin) ? plugin : otherPlugins;
  };
  return {
    answered: (call, took) => seconds.observe({ call }, Math.max(0, took)),
    ended: (plugin, call, result) => calls.inc({ plugin: labelOf(plugin), call, result }),
    adjusted: (plugin) => adjustments.inc({ plugin: labelOf(plugin) }),
  };
}

/** The plugins that there are now, and those that are gone and have not come back. */
export function registerNriPlugins(
  registry: Registry,
  plugins: () => readonly NriPluginState[],
): void {
  registry.registerMetric(
    new Gauge({
      name: "berth_nri_plugins",
      help: "NRI plugins, by state: joining, serving, late, gone; `berth nri ls` names them.",
      labelNames: ["state"],
      registers: [],
      collect() {
        const byState = countByState(plugins());
        for (const state of states) this.set({ state }, byState.get(state)?.size ?? 0);
      },
    }),
  );
}

function countByState(plugins: readonly NriPluginState[]): Map<string, Set<string>> {
  const idOf = ({ index, name }: NriPluginState): string => `${index}-${name}`;
  const there = new Set(plugins.filter(({ state }) => state !== "gone").map(idOf));
  const byState = new Map<string, Set<string>>();
  for (const plugin of plugins) {
    if (plugin.state === "gone" && there.has(idOf(plugin))) continue;
    byState.set(plugin.state, (byState.get(plugin.state) ?? new Set()).add(idOf(plugin)));
  }
  return byState;
}
