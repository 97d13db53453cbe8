// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../base/cancellable.ts";
import { mapAtOnce } from "../base/map-at-once.ts";
import { settlesWithin } from "../base/waits.ts";
import type { CgroupSample } from "./cgroup/cgroup-sample.ts";
import { FileSystem, type FileSystemSample } from "./file-system.ts";
import type { KernelFigures } from "./kernel-figures.ts";
import type { TaskFigures } from "./kernel-figures-requests.ts";
import type { TaskInfo, TaskSource } from "./ports.ts";

/** What one scrape knows of one task. */
export interface TaskSample extends TaskFigures {
  readonly task: TaskInfo;
  readonly cgroup: CgroupSample;
  readonly fileSystem: FileSystemSample | undefined;
  /** What the writable layer holds; undefined when it is not known yet. */
  readonly layerBytes: number | undefined;
}

export interface TaskSampleReader {
  /** undefined for a task that is gone. Aborted when nobody waits any more: then it ends as soon as it can. */
  sample(task: TaskInfo, call: Cancellable): Promise<TaskSample | undefined>;
}

const concurrency = 16;

/**
 * One pass over all tasks. Calls that come while a pass runs join it: a scrape asks once for each
 * metric, and two scrapers may come at once. A task that fails, is gone, or takes longer than its
 * bound is left out of this pass and fails nothing; while its reading has not ended it is left out of the
 * next ones as well, so that no more than one waits for it.
 */
export class TaskSamples {
  readonly #tasks: TaskSource;
  readonly #reader: TaskSampleReader;
  readonly #timeoutMs: number;
  /** Tasks that are being read, by namespace and id. */
  readonly #reading = new Set<string>();
  #running: Promise<readonly TaskSample[]> | undefined;

  constructor(
    tasks: TaskSource,
    options: { readonly reader: TaskSampleReader; readonly timeoutMs?: number },
  ) {
    this.#tasks = tasks;
    this.#reader = options.reader;
    this.#timeoutMs = options.timeoutMs ?? 2000;
  }

  pass(): Promise<readonly TaskSample[]> {
    this.#running ??= this.#readAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #readAll(): Promise<readonly TaskSample[]> {
    const samples = await mapAtOnce(this.#tasks(), concurrency, (task) => this.#readOne(task));
    return samples.filter((sample) => sample !== undefined);
  }

  async #readOne(task: TaskInfo): Promise<TaskSample | undefined> {
    const key = `${task.namespace}/${task.containerId}`;
    if (this.#reading.has(key)) return undefined;
    this.#reading.add(key);
    const ending = new AbortController();
    const sample = this.#reader.sample(task, ending).finally(() => this.#reading.delete(key));
    if (await settlesWithin(sample, this.#timeoutMs)) return sample.catch(() => undefined);
    ending.abort(new Error("reading a task's figures took too long"));
    return undefined;
  }
}

export interface TaskReaderOptions {
  readonly figures: Pick<KernelFigures, "task">;
  /** A folder on the file system of the writable layers. */
  readonly layersFolder: string;
  /** What the task's writable layer holds; undefined when that is not known yet. */
  readonly layerBytes: (task: TaskInfo) => Promise<number | undefined>;
}

/** Makes the reader of one task: cgroup files, /proc, and the writable layer. No shim wakes up. */
export function createTaskReader({
  figures,
  layersFolder,
  layerBytes,
}: TaskReaderOptions): TaskSampleReader {
  const fileSystem = new FileSystem(layersFolder);
  return {
    sample: async (task, call) => {
      const [{ cgroup, ...others }, layer, disk] = await Promise.all([
        figures.task(task.cgroupPaths, task.pid, task.netnsPath !== undefined),
        layerBytes(task),
        fileSystem.sample(),
      ]);
      call.signal.throwIfAborted();
      if (cgroup === undefined) return undefined;
      return { task, cgroup, ...others, fileSystem: disk, layerBytes: layer };
    },
  };
}
