// SPDX-License-Identifier: Apache-2.0

import type { TaskSample } from "./task-samples.ts";
import type { TaskMetricDefinition } from "./tasks/definition.ts";

/** The labels that every container_* metric has, in the order CRI's descriptors list them. */
export const taskLabelKeys = ["namespace", "pod", "container", "id", "image", "name"] as const;

export type TaskLabels = Readonly<Record<(typeof taskLabelKeys)[number], string>>;

/**
 * A sample's labels, as cAdvisor has them: `id` is the cgroup's path and `name` the container's id. A
 * pod's own samples belong to no container, so theirs is "".
 */
export function taskLabels({ task }: TaskSample, of: TaskMetricDefinition["of"]): TaskLabels {
  const { namespace, pod, container, containerId, image, cgroupPath } = task;
  return {
    namespace,
    pod,
    container: of === "pod" ? "" : container,
    id: cgroupPath,
    image,
    name: containerId,
  };
}
