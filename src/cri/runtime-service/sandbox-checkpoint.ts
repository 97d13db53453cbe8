// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { open, opendir } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { errnoOf, fault } from "../../base/errors.ts";
import { type RunningTaskNeeds, runningTask } from "../checkpoint/running-task.ts";
import {
  type PodCheckpoint,
  type WritePodCheckpointNeeds,
  writePodCheckpoint,
} from "../checkpoint/write-pod-checkpoint.ts";
import type { CriParts } from "../parts.ts";
import { type ReadyNeeds, readySandbox } from "../sandbox/ready-sandbox.ts";
import { refuseOptions } from "../validate.ts";
import type { Verb } from "./verb.ts";

type Needs = WritePodCheckpointNeeds &
  ReadyNeeds &
  RunningTaskNeeds &
  Pick<CriParts, "containers" | "operations">;

/** Callers set a deadline of their own. Without one a pod shall not stand still for ever. */
const longestMs = 30 * 60_000;

/**
 * CheckpointPod: of the named containers, which must run, at one moment, to one archive in an empty folder. They run on,
 * whatever happens. The rules are those of cri-api's comments, 0.38.
 */
export function checkpointPod(parts: Needs): Verb<"CheckpointPod"> {
  const underWay = new Set<string>(); // sandboxes, and folders by their device and inode
  return async ({ podSandboxId, outputPath, containerIds, options }, call) => {
    refuseOptions(options);
    const sandbox = readySandbox(parts, podSandboxId);
    const { id } = sandbox;
    const containers = runningContainers(parts, id, containerIds);
    const folder = await requireEmptyFolder(outputPath);
    if (underWay.has(id)) {
      throw fault("FAILED_PRECONDITION", `sandbox "${id}" is being checkpointed already`);
    }
    if (underWay.has(folder)) {
      throw fault("FAILED_PRECONDITION", `output_path "${outputPath}" is another checkpoint's`);
    }
    underWay.add(id).add(folder);
    try {
      await parts.operations.perform(
        {
          rpc: "CheckpointPod",
          object: id,
          limit: { ms: longestMs, what: `the checkpoint of sandbox "${id}"` },
          facts: { sandbox: id },
        },
        { signal: AbortSignal.any([call.signal, parts.lifetime]) },
        (op) => writePodCheckpoint(parts, op, { sandbox, containers, outputPath }),
      );
    } finally {
      underWay.delete(id);
      underWay.delete(folder);
    }
    return {};
  };
}

/** INVALID_ARGUMENT, NOT_FOUND or FAILED_PRECONDITION unless all are this pod's, run, and are named once. */
function runningContainers(
  parts: RunningTaskNeeds & Pick<Needs, "containers">,
  sandboxId: string,
  ids: readonly string[],
): PodCheckpoint["containers"] {
  if (ids.length === 0) throw fault("INVALID_ARGUMENT", "container_ids is empty");
  const records = ids.map((id) => parts.containers.require(id));
  if (new Set(records).size < records.length) {
    throw fault("INVALID_ARGUMENT", "container_ids names a container twice");
  }
  return records.map((record) => {
    const { id } = record;
    if (record.sandboxId !== sandboxId) {
      throw fault("INVALID_ARGUMENT", `container "${id}" is not in sandbox "${sandboxId}"`);
    }
    return { id, task: runningTask(parts, record), record };
  });
}

/** Answers what tells the folder from others, whatever its path. */
async function requireEmptyFolder(outputPath: string): Promise<string> {
  if (!isAbsolute(outputPath) || outputPath.includes("\0")) {
    throw fault("INVALID_ARGUMENT", `output_path "${outputPath}" is not an absolute path`);
  }
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  try {
    await using handle = await open(outputPath, flags);
    await using folder = await opendir(`/proc/self/fd/${handle.fd}`);
    const { dev, ino } = await handle.stat();
    if ((await folder.read()) === null) return `${dev}:${ino}`;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const code = errno === "ENOENT" ? "NOT_FOUND" : "INVALID_ARGUMENT";
    throw fault(code, `output_path "${outputPath}" is no folder: ${errno}`, { cause: error });
  }
  throw fault("FAILED_PRECONDITION", `output_path "${outputPath}" is not empty`);
}
