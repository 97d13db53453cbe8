// SPDX-License-Identifier: Apache-2.0
import { Counter, Gauge, type Registry } from "prom-client";
import type { TransferSource } from "./ports.ts";

/** Pulls and pushes of images. */
export function registerTransferMetrics(registry: Registry, transfers: () => TransferSource): void {
  registry.registerMetric(
    new Gauge({
      name: "berth_image_transfers_in_flight",
      help: "Pulls and pushes of images that run now, by kind: pull or push.",
      labelNames: ["kind"],
      registers: [],
      collect() {
        for (const [kind, count] of Object.entries(transfers().running)) this.set({ kind }, count);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      name: "berth_image_transfer_bytes_total",
      help: "Bytes of layers that came from registries (pull) or went to them (push); more than once where they were cut off.",
      labelNames: ["kind"],
      registers: [],
      collect() {
        this.reset();
        for (const [kind, bytes] of Object.entries(transfers().bytes)) this.inc({ kind }, bytes);
      },
    }),
  );
}
