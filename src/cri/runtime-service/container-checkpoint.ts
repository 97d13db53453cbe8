// SPDX-License-Identifier: Apache-2.0
import { isAbsolute } from "node:path";
import { fault } from "../../base/errors.ts";
import { type RunningTaskNeeds, runningTask } from "../checkpoint/running-task.ts";
import { type WriteCheckpointNeeds, writeCheckpoint } from "../checkpoint/write-checkpoint.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = WriteCheckpointNeeds & RunningTaskNeeds & Pick<CriParts, "containers" | "operations">;

/** For a request without a timeout of its own: gigabytes of memory take their time. */
const defaultMs = 10 * 60_000;
const longestMs = 2 ** 31 - 1;

/** CheckpointContainer: of a running container, to an archive at an absolute path. It runs on. */
export function checkpointContainer(parts: Needs): Verb<"CheckpointContainer"> {
  return async ({ containerId, location, timeout }, call) => {
    const record = parts.containers.require(containerId);
    const { id } = record;
    if (!isAbsolute(location)) {
      throw fault("INVALID_ARGUMENT", `location "${location}" is not an absolute path`);
    }
    if (timeout < 0n) throw fault("INVALID_ARGUMENT", `timeout ${timeout} is negative`);
    const task = runningTask(parts, record);
    const ms = timeout === 0n ? defaultMs : Math.min(Number(timeout) * 1000, longestMs);
    await parts.operations.perform(
      {
        rpc: "CheckpointContainer",
        object: id,
        limit: { ms, what: `the checkpoint of container "${id}"` },
      },
      call,
      (op) => writeCheckpoint(parts, op, { record, task, location }),
    );
    return {};
  };
}
