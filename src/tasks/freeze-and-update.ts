// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { TasksParts, TasksVerb } from "./parts.ts";

type Needs = Pick<TasksParts, "lookup">;

export function pauseTask({ lookup }: Needs): TasksVerb<"Pause"> {
  return async ({ containerId }, call) => {
    await lookup.task(containerId, call).pause(call);
    return {};
  };
}

export function resumeTask({ lookup }: Needs): TasksVerb<"Resume"> {
  return async ({ containerId }, call) => {
    await lookup.task(containerId, call).resume(call);
    return {};
  };
}

/** Update: new limits, an OCI LinuxResources as JSON inside the Any. */
export function updateTask({ lookup }: Needs): TasksVerb<"Update"> {
  return async ({ containerId, resources, annotations }, call) => {
    const task = lookup.task(containerId, call);
    if (!resources)
      throw fault("INVALID_ARGUMENT", `update of task "${containerId}" has no resources`);
    await task.update({ resources, annotations }, call);
    return {};
  };
}
