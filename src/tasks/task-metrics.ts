// SPDX-License-Identifier: Apache-2.0

import { timeLimit } from "../base/deadline.ts";
import { compileFilters } from "../base/filter.ts";
import { nowNanos } from "../base/now.ts";
import type { TypesMetricInit } from "../gen/types.gen.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import type { RuntimeTask } from "../runtime/ports.ts";
import type { TasksParts, TasksVerb } from "./parts.ts";

type Needs = Pick<TasksParts, "runtime" | "statsTimeoutMs">;

/**
 * Metrics: of the namespace's tasks that pass the filters (fields `id` and `namespace`), all at once,
 * each with its own time limit. A task that fails is left out.
 */
export function taskMetrics({ runtime, statsTimeoutMs }: Needs): TasksVerb<"Metrics"> {
  return async ({ filters }, call) => {
    const passes = compileFilters(filters, taskField);
    const tasks = runtime.list(requiredNamespace(call)).filter(passes);
    const metrics = await Promise.allSettled(
      tasks.map(async (task): Promise<TypesMetricInit> => {
        using limit = timeLimit(statsTimeoutMs, call.signal);
        const data = await task.stats(limit);
        return { timestamp: timestampOf(nowNanos()), id: task.id, data };
      }),
    );
    call.signal.throwIfAborted();
    return { metrics: metrics.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])) };
  };
}

function taskField(task: RuntimeTask, path: readonly string[]): string | undefined {
  if (path.length !== 1) return undefined;
  if (path[0] === "id") return task.id;
  return path[0] === "namespace" ? task.namespace : undefined;
}
