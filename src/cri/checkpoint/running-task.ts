// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Task } from "../../client/ports.ts";
import type { CriParts } from "../parts.ts";
import { type ContainerRecord, describeState } from "../store/container-record.ts";

export type RunningTaskNeeds = Pick<CriParts, "liveContainers">;

/** The task of a container that can be dumped; FAILED_PRECONDITION, naming its state, unless it runs and is to run on. */
export function runningTask(
  { liveContainers }: RunningTaskNeeds,
  { id, state }: ContainerRecord,
): Task {
  const { task, ending } = liveContainers.of(id);
  if (state.kind === "running" && !ending && task) return task;
  const present = ending ? "ending" : describeState(state);
  throw fault(
    "FAILED_PRECONDITION",
    `cannot checkpoint container "${id}": state is ${present}, not running`,
  );
}
