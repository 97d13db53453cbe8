// SPDX-License-Identifier: Apache-2.0
import { labelled, type TaskMetricDefinition } from "./definition.ts";

const counters = [
  ["bytes", "bytes", "Bytes"],
  ["packets", "packets", "Packets"],
  ["errors", "errors", "Errors"],
  ["dropped", "packets_dropped", "Packets dropped"],
] as const;

/** Traffic of a pod, by interface; a pod in the node's network has none of its own. */
export function networkMetrics(): TaskMetricDefinition[] {
  return (["receive", "transmit"] as const).flatMap((direction) =>
    counters.map(([counter, suffix, what]) =>
      labelled(
        {
          type: "counter",
          name: `container_network_${direction}_${suffix}_total`,
          help: `${what} on ${direction}, by interface of the pod.`,
          labels: ["interface"],
          of: "pod",
        },
        ({ interfaces }) =>
          interfaces.map((one) => ({
            value: one[direction][counter],
            labels: { interface: one.name },
          })),
      ),
    ),
  );
}
