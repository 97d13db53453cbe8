// SPDX-License-Identifier: Apache-2.0
import { Gauge, type Registry } from "prom-client";

/** Registers a gauge without labels that is computed at each scrape; while the value is undefined it has no series. */
export function computedGauge(
  registry: Registry,
  name: string,
  help: string,
  value: () => number | undefined,
): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      registers: [],
      collect() {
        const now = value();
        if (now === undefined) this.remove();
        else this.set(now);
      },
    }),
  );
}
