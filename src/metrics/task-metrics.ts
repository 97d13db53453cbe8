// SPDX-License-Identifier: Apache-2.0
import type { Metric, Registry } from "prom-client";
import type { TaskSource } from "./ports.ts";
import { type TaskMetricDefinition, taskMetricDefinitions } from "./task-metric-definitions.ts";
import { type TaskSample, TaskSamples } from "./task-samples.ts";

interface Value {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly sharedLabels: Readonly<Record<string, string>>;
}

/**
 * Registers the per-task metrics. They keep no state between scrapes: a task that is gone has no
 * series. Every metric of one scrape comes from the same pass over the tasks.
 */
export function registerTaskMetrics(registry: Registry, samples: TaskSamples | TaskSource): void {
  const shared = samples instanceof TaskSamples ? samples : new TaskSamples(samples);
  const labels = new LabelCache();
  for (const definition of taskMetricDefinitions) {
    // prom-client needs of a metric only its name, and get() at a scrape.
    registry.registerMetric(new TaskMetric(definition, shared, labels) as unknown as Metric);
  }
}

class TaskMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly aggregator = "sum";
  readonly #definition: TaskMetricDefinition;
  readonly #samples: TaskSamples;
  readonly #labels: LabelCache;

  constructor(definition: TaskMetricDefinition, samples: TaskSamples, labels: LabelCache) {
    this.name = definition.name;
    this.help = definition.help;
    this.type = definition.type;
    this.#definition = definition;
    this.#samples = samples;
    this.#labels = labels;
  }

  async get(): Promise<unknown> {
    const values: Value[] = [];
    for (const sample of await this.#samples.pass()) {
      const sharedLabels = this.#labels.of(sample);
      for (const { value, labels = {} } of this.#definition.read(sample)) {
        values.push({ value, labels, sharedLabels });
      }
    }
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values };
  }

  reset(): void {}
}

/** One label object a sample: prom-client formats it once, not once for each metric. */
class LabelCache {
  readonly #labels = new WeakMap<TaskSample, Record<string, string>>();

  of(sample: TaskSample): Record<string, string> {
    let labels = this.#labels.get(sample);
    if (labels === undefined) {
      const { namespace, pod, container, containerId, image } = sample.task;
      labels = { namespace, pod, container, id: containerId, image };
      this.#labels.set(sample, labels);
    }
    return labels;
  }
}
