// SPDX-License-Identifier: Apache-2.0
import { cpuMetrics } from "./tasks/cpu.ts";
import type { TaskMetricDefinition } from "./tasks/definition.ts";
import { diskMetrics } from "./tasks/disk.ts";
import { memoryMetrics } from "./tasks/memory.ts";
import { networkMetrics } from "./tasks/network.ts";
import { processMetrics } from "./tasks/processes.ts";
import { hugetlbMetrics, pressureMetrics } from "./tasks/scarcity.ts";
import { specMetrics } from "./tasks/spec.ts";

/** The container_* metrics, by the names dashboards know. CPU times are seconds with fractions. */
export const taskMetricDefinitions: readonly TaskMetricDefinition[] = [
  ...cpuMetrics(),
  ...memoryMetrics(),
  ...diskMetrics(),
  ...hugetlbMetrics(),
  ...pressureMetrics(),
  ...processMetrics(),
  ...networkMetrics(),
  ...specMetrics(),
];
