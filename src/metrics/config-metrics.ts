// SPDX-License-Identifier: Apache-2.0
import { Counter, type Registry } from "prom-client";
import { computedGauge } from "./computed-gauge.ts";
import type { ConfigurationFacts } from "./ports.ts";

/** Digits of the hash: enough to distinguish configurations, few enough that a float holds them exactly. */
const hashDigits = 12;

/** The configuration's metrics, named as Prometheus and Alertmanager name their own. */
export function registerConfigMetrics(registry: Registry, facts: () => ConfigurationFacts): void {
  const gauge = (name: string, help: string, value: () => number): void =>
    computedGauge(registry, `berth_config_${name}`, help, value);
  registry.registerMetric(
    new Counter({
      name: "berth_config_reloads_total",
      help: "Reloads of the configuration that were asked for, by result.",
      labelNames: ["result"],
      registers: [],
      collect() {
        const { failures, successes } = facts();
        this.reset();
        this.inc({ result: "success" }, successes);
        this.inc({ result: "failure" }, failures);
      },
    }),
  );
  gauge("last_reload_successful", "Whether the last reload of the configuration succeeded.", () =>
    facts().last?.result === "failure" ? 0 : 1,
  );
  gauge(
    "last_reload_success_timestamp_seconds",
    "When the configuration that holds was read.",
    () => facts().loadedAtMs / 1000,
  );
  gauge("hash", "Hash of the configuration that holds.", () =>
    Number.parseInt(facts().hash.slice(0, hashDigits), 16),
  );
  gauge(
    "keys_waiting_for_restart",
    "Keys that differ between the files, as they were last reloaded, and the daemon.",
    () => facts().waiting.length,
  );
}
