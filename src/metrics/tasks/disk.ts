// SPDX-License-Identifier: Apache-2.0
import type { IoSample } from "../cgroup/cgroup-sample.ts";
import type { FileSystemSample } from "../file-system.ts";
import type { TaskSample } from "../task-samples.ts";
import { labelled, type TaskMetricDefinition, type TaskMetricValue } from "./definition.ts";

/** Input and output by device, and what the writable layer holds. */
export function diskMetrics(): TaskMetricDefinition[] {
  return [
    byDevice("container_fs_reads_bytes_total", "Bytes read.", (io) => io.readBytes),
    byDevice("container_fs_writes_bytes_total", "Bytes written.", (io) => io.writeBytes),
    byDevice("container_fs_reads_total", "Reads completed.", (io) => io.reads),
    byDevice("container_fs_writes_total", "Writes completed.", (io) => io.writes),
    labelled(
      {
        type: "counter",
        name: "container_blkio_device_usage_total",
        help: "Bytes by block device and operation.",
        labels: ["device", "major", "minor", "operation"],
      },
      ({ cgroup }) =>
        cgroup.io.flatMap((io) => [
          blkio(io, "Read", io.readBytes),
          blkio(io, "Write", io.writeBytes),
        ]),
    ),
    ofLayer(
      "container_fs_usage_bytes",
      "What the writable layer holds.",
      ({ layerBytes }) => layerBytes ?? 0,
    ),
    ofLayer(
      "container_fs_limit_bytes",
      "Size of the file system of the writable layer.",
      (_sample, fileSystem) => fileSystem.limitBytes,
    ),
    ofLayer(
      "container_fs_inodes_free",
      "Free inodes of the file system of the writable layer.",
      (_sample, fileSystem) => fileSystem.inodesFree,
    ),
    ofLayer(
      "container_fs_inodes_total",
      "Inodes of the file system of the writable layer.",
      (_sample, fileSystem) => fileSystem.inodesTotal,
    ),
  ];
}

function byDevice(
  name: string,
  help: string,
  pick: (io: IoSample) => bigint,
): TaskMetricDefinition {
  return labelled({ type: "counter", name, help, labels: ["device"] }, ({ cgroup }) =>
    cgroup.io.map((io) => ({
      value: Number(pick(io)),
      labels: { device: `${io.major}:${io.minor}` },
    })),
  );
}

function ofLayer(
  name: string,
  help: string,
  pick: (sample: TaskSample, fileSystem: FileSystemSample) => number,
): TaskMetricDefinition {
  return labelled({ type: "gauge", name, help, labels: ["device"] }, (sample) => {
    const { fileSystem } = sample;
    if (fileSystem === undefined) return [];
    return [{ value: pick(sample, fileSystem), labels: { device: fileSystem.device } }];
  });
}

function blkio(io: IoSample, operation: string, bytes: bigint): TaskMetricValue {
  const [major, minor] = [String(io.major), String(io.minor)];
  return { value: Number(bytes), labels: { device: `${major}:${minor}`, major, minor, operation } };
}
