// SPDX-License-Identifier: Apache-2.0
import type { CgroupSample } from "../cgroup/cgroup-sample.ts";
import type { TaskSample } from "../task-samples.ts";

export interface TaskMetricValue {
  readonly value: number;
  /** A value for each of the definition's own labels. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** What decides whether the host keeps a value. */
export interface MetricHost {
  readonly pressure: boolean;
  readonly hugetlb: boolean;
}

/** One container_* metric. `/metrics` and CRI both read it from here, so their values agree. */
export interface TaskMetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  /** Its values have fractions, as times in seconds do; others are whole. */
  readonly isFractional: boolean;
  /** Keys of its own labels, beside those that every metric has. */
  readonly labels: readonly string[];
  /** What it counts: one container, or the whole pod. */
  readonly of: "container" | "pod";
  /** False where the host never has a value: then it is not advertised either. */
  isKept(host: MetricHost): boolean;
  read(sample: TaskSample): readonly TaskMetricValue[];
}

export type Figure = bigint | number | undefined;

const always = (): boolean => true;

type Part = Pick<TaskMetricDefinition, "isFractional" | "labels" | "of" | "isKept">;

/** Makes a metric with one value and no labels of its own; none where `pick` answers undefined. */
type Definer<From> = (
  name: string,
  help: string,
  pick: (from: From) => Figure,
  part?: Partial<Part>,
) => TaskMetricDefinition;

export const gauge: Definer<TaskSample> = single("gauge", (sample) => sample);
/** The same, of the cgroup's sample. */
export const cgroupGauge: Definer<CgroupSample> = single("gauge", ({ cgroup }) => cgroup);
export const cgroupCounter: Definer<CgroupSample> = single("counter", ({ cgroup }) => cgroup);

function single<From>(
  type: TaskMetricDefinition["type"],
  from: (sample: TaskSample) => From,
): Definer<From> {
  return (name, help, pick, part) =>
    labelled({ type, name, help, ...part }, (sample) => {
      const figure = pick(from(sample));
      return figure === undefined ? [] : [{ value: Number(figure) }];
    });
}

/** A metric whose values have labels of their own. */
export function labelled(
  facts: Pick<TaskMetricDefinition, "type" | "name" | "help"> & Partial<Part>,
  read: TaskMetricDefinition["read"],
): TaskMetricDefinition {
  return { isFractional: false, labels: [], of: "container", isKept: always, ...facts, read };
}

/** Nanoseconds as seconds with fractions. */
export function seconds(nanos: bigint): number {
  return Number(nanos) / 1e9;
}
