// SPDX-License-Identifier: Apache-2.0
import type { Metric, Registry } from "prom-client";
import { type TaskLabels, taskLabels } from "./task-labels.ts";
import { taskMetricDefinitions } from "./task-metric-definitions.ts";
import type { TaskSample, TaskSamples } from "./task-samples.ts";
import type { TaskMetricDefinition } from "./tasks/definition.ts";

interface Value {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly sharedLabels: TaskLabels;
}

/**
 * Registers the per-task metrics. They keep no state between scrapes: a task that is gone has no
 * series. Every metric of one scrape comes from the same pass over the tasks.
 */
export function registerTaskMetrics(registry: Registry, samples: TaskSamples): void {
  const labels = new LabelCache();
  for (const definition of taskMetricDefinitions) {
    // prom-client needs of a metric only its name, and get() at a scrape.
    registry.registerMetric(new TaskMetric(definition, samples, labels) as unknown as Metric);
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
      const sharedLabels = this.#labels.get(sample, this.#definition.of);
      for (const { value, labels = {} } of this.#definition.read(sample)) {
        values.push({ value, labels, sharedLabels });
      }
    }
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values };
  }

  reset(): void {}
}

/** One label object a sample and level: prom-client formats it once, not once for each metric. */
class LabelCache {
  readonly #labels = { container: new WeakMap(), pod: new WeakMap() } as {
    readonly [of in TaskMetricDefinition["of"]]: WeakMap<TaskSample, TaskLabels>;
  };

  get(sample: TaskSample, of: TaskMetricDefinition["of"]): TaskLabels {
    let labels = this.#labels[of].get(sample);
    if (labels === undefined) {
      labels = taskLabels(sample, of);
      this.#labels[of].set(sample, labels);
    }
    return labels;
  }
}
