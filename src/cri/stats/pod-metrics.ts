// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { ContainerMetricsInit, MetricInit, PodSandboxMetricsInit } from "../../gen/cri.gen.ts";
import { taskLabelKeys, taskLabels } from "../../metrics/task-labels.ts";
import { taskMetricDefinitions } from "../../metrics/task-metric-definitions.ts";
import type { TaskSample } from "../../metrics/task-samples.ts";
import type { MetricHost, TaskMetricDefinition } from "../../metrics/tasks/definition.ts";
import type { PodMetricsReader } from "../ports.ts";

export interface PodMetricsOptions {
  readonly host: MetricHost;
  /** One pass over all tasks; shared with whoever scrapes at the same time. */
  readonly samples: () => Promise<readonly TaskSample[]>;
}

/** The definitions that `/metrics` has too, as CRI's messages. */
export function createPodMetrics({ host, samples }: PodMetricsOptions): PodMetricsReader {
  const kept = taskMetricDefinitions.filter((definition) => definition.isKept(host));
  const descriptors = kept.map(({ name, help, labels }) => ({
    name,
    help,
    labelKeys: [...taskLabelKeys, ...labels],
  }));
  // Callers that share a pass share what is made of it: some hundred objects a container.
  const made = new WeakMap<readonly TaskSample[], readonly PodSandboxMetricsInit[]>();
  return {
    descriptors: () => descriptors,
    list: async (call: Cancellable) => {
      const taken = await unlessAborted(samples(), call.signal);
      const known = made.get(taken) ?? byPod(taken, kept);
      made.set(taken, known);
      return [...known];
    },
  };
}

function byPod(
  samples: readonly TaskSample[],
  definitions: readonly TaskMetricDefinition[],
): PodSandboxMetricsInit[] {
  const pods = new Map<string, { metrics: MetricInit[]; containers: ContainerMetricsInit[] }>();
  for (const sample of samples) {
    const { sandboxId, containerId } = sample.task;
    const pod = pods.get(sandboxId) ?? { metrics: [], containers: [] };
    pods.set(sandboxId, pod);
    const of = (level: TaskMetricDefinition["of"]): MetricInit[] =>
      definitions.filter((definition) => definition.of === level).flatMap((it) => read(it, sample));
    pod.metrics.push(...of("pod"));
    pod.containers.push({ containerId, metrics: of("container") });
  }
  return [...pods].map(([podSandboxId, { metrics, containers }]) => ({
    podSandboxId,
    metrics,
    containerMetrics: containers,
  }));
}

/**
 * What has fractions is cut in `value`, which kubelets up to 1.37 read, and exact in `doubleValue`, which
 * later ones prefer. A timestamp of 0 means now.
 */
function read(definition: TaskMetricDefinition, sample: TaskSample): MetricInit[] {
  const { name, type, isFractional, labels, of } = definition;
  const shared = taskLabels(sample, of);
  const common = taskLabelKeys.map((key) => shared[key]);
  return definition.read(sample).map(({ value, labels: own = {} }) => ({
    name,
    timestamp: 0n,
    metricType: type === "counter" ? "COUNTER" : "GAUGE",
    labelValues: [...common, ...labels.map((key) => own[key] ?? "")],
    value: { value: BigInt(Math.max(0, Math.floor(value))) },
    doubleValue: isFractional ? { value: Math.max(0, value) } : null,
  }));
}
