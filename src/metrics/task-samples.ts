// SPDX-License-Identifier: Apache-2.0
import type { CgroupSample } from "./cgroup/cgroup-sample.ts";
import { processCount, readCgroupSample } from "./cgroup/read-sample.ts";
import { type InterfaceCounters, readInterfaceCounters } from "./interface-counters.ts";
import type { TaskInfo, TaskSource } from "./ports.ts";

/** What one scrape knows of one task. */
export interface TaskSample {
  readonly task: TaskInfo;
  readonly cgroup: CgroupSample;
  readonly processes: number | undefined;
  readonly interfaces: readonly InterfaceCounters[];
}

export interface TaskSampleReader {
  sample(task: TaskInfo): Promise<TaskSample | undefined>;
}

const concurrency = 16;

/**
 * One pass over all tasks. Calls that come while a pass runs join it: a scrape asks once for each
 * metric, and two scrapers may come at once. A task that fails, is gone, or takes longer than its
 * bound is left out of this pass and fails nothing.
 */
export class TaskSamples {
  readonly #tasks: TaskSource;
  readonly #reader: TaskSampleReader;
  readonly #timeoutMs: number;
  #running: Promise<readonly TaskSample[]> | undefined;

  constructor(tasks: TaskSource, options: { reader?: TaskSampleReader; timeoutMs?: number } = {}) {
    this.#tasks = tasks;
    this.#reader = options.reader ?? { sample: readTaskSample };
    this.#timeoutMs = options.timeoutMs ?? 2000;
  }

  pass(): Promise<readonly TaskSample[]> {
    this.#running ??= this.#readAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #readAll(): Promise<readonly TaskSample[]> {
    const tasks = this.#tasks();
    const samples: (TaskSample | undefined)[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let at = next++; at < tasks.length; at = next++) {
        const task = tasks[at];
        if (task !== undefined) samples[at] = await this.#readOne(task);
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, tasks.length) }, worker));
    return samples.filter((sample) => sample !== undefined);
  }

  async #readOne(task: TaskInfo): Promise<TaskSample | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), this.#timeoutMs);
    try {
      return await Promise.race([this.#reader.sample(task), late]);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Reads a task's cgroup, process count and, for a pod's own task, network counters. */
export async function readTaskSample(task: TaskInfo): Promise<TaskSample | undefined> {
  const [cgroup, processes, interfaces] = await Promise.all([
    readCgroupSample(task.cgroupPaths),
    processCount(task.cgroupPaths),
    task.netnsPath === undefined ? [] : readInterfaceCounters(task.pid),
  ]);
  return cgroup === undefined ? undefined : { task, cgroup, processes, interfaces };
}
