// SPDX-License-Identifier: Apache-2.0
import { cgroupGauge, gauge, labelled, seconds, type TaskMetricDefinition } from "./definition.ts";

/** Processes, what they hold open, and since when they run. */
export function processMetrics(): TaskMetricDefinition[] {
  return [
    cgroupGauge("container_threads", "Threads.", ({ pids }) => pids?.current),
    cgroupGauge("container_threads_max", "Thread limit; 0 when there is none.", ({ pids }) =>
      pids === undefined ? undefined : (pids.limit ?? 0n),
    ),
    gauge("container_processes", "Processes.", ({ processes }) => processes),
    gauge(
      "container_file_descriptors",
      "Open file descriptors of the first 128 processes.",
      ({ openFiles }) => openFiles?.descriptors,
    ),
    gauge(
      "container_sockets",
      "Open sockets among the first 2048 descriptors of those processes.",
      ({ openFiles }) => openFiles?.sockets,
    ),
    labelled(
      {
        type: "gauge",
        name: "container_ulimits_soft",
        help: "Soft limits of the first process, by limit.",
        labels: ["ulimit"],
      },
      ({ openFilesLimit }) =>
        openFilesLimit === undefined
          ? []
          : [{ value: openFilesLimit, labels: { ulimit: "max_open_files" } }],
    ),
    cgroupGauge(
      "container_last_seen",
      "When this was read, in seconds since the epoch.",
      ({ takenAtNanos }) => seconds(takenAtNanos),
      { isFractional: true },
    ),
    gauge(
      "container_start_time_seconds",
      "Start time in seconds since the epoch.",
      ({ task }) => seconds(task.startedAtNanos),
      { isFractional: true },
    ),
  ];
}
