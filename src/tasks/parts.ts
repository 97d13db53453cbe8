// SPDX-License-Identifier: Apache-2.0
import type { ContentStore } from "../content/ports.ts";
import type { Leases } from "../metadata/leases.ts";
import type { ServiceImpl, Services } from "../rpc/service.ts";
import type { PlatformRuntime } from "../runtime/ports.ts";
import type { RemovesTrees } from "../trees/ports.ts";
import type { Deprecations } from "./deprecations.ts";
import type { TaskLookup } from "./task-lookup.ts";

export type TasksServiceName = "containerd.services.tasks.v1.Tasks";

/** One verb of the service. */
export type TasksVerb<M extends keyof Services[TasksServiceName]> = NonNullable<
  ServiceImpl<TasksServiceName>[M]
>;

/** What the verbs work with. Only the composition, tasks-service.ts, knows it whole; each file says what it uses. */
export interface TasksParts {
  readonly lookup: TaskLookup;
  readonly runtime: PlatformRuntime;
  readonly content: ContentStore | undefined;
  readonly leases: Leases | undefined;
  readonly deprecations: Deprecations | undefined;
  readonly checkpointDir: string;
  /** Removes checkpoints' files, whose names and depth an archive or a task chose. */
  readonly remover: Pick<RemovesTrees, "remove">;
  readonly stateTimeoutMs: () => number;
  readonly statsTimeoutMs: number;
}
