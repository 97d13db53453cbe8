// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { cleanupDeadline } from "../../base/cancellable.ts";
import { errnoOf, fault, isFault } from "../../base/errors.ts";
import { packArchive } from "../../checkpoint/pack-archive.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";
import { handlerOfPod } from "../sandbox/pod-handler.ts";
import type { ReadySandbox } from "../sandbox/ready-sandbox.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { type DumpNeeds, describeContainer, dumpContainer } from "./dump-container.ts";
import { type FreezeNeeds, type FrozenContainer, whileFrozen } from "./freeze-containers.ts";
import { noteFreeze, stagingPrefix } from "./freeze-notes.ts";
import { podArchiveName, podFiles, writePod } from "./pod-files.ts";

export type WritePodCheckpointNeeds = DumpNeeds & FreezeNeeds & Pick<CriParts, "paths" | "remover">;

export interface PodCheckpoint {
  readonly sandbox: ReadySandbox;
  readonly containers: readonly (FrozenContainer & { readonly record: ContainerRecord })[];
  /** An empty folder of the caller's: nothing is written outside it. */
  readonly outputPath: string;
}

/**
 * Writes the checkpoint of a pod to the caller's folder, one archive, whole or not at all. All of its containers stand still
 * while they are dumped, writable layers included, so that it is one moment of the pod; they run on before the archive
 * is packed. Each folder in it is laid out as the archive of CheckpointContainer.
 */
export async function writePodCheckpoint(
  parts: WritePodCheckpointNeeds,
  op: Operation,
  { sandbox, containers, outputPath }: PodCheckpoint,
): Promise<void> {
  const staging = path.join(outputPath, `${stagingPrefix}${randomBytes(6).toString("hex")}`);
  const pod = path.join(staging, "pod");
  const folderOf = podFiles(pod).container;
  const archive = path.join(outputPath, podArchiveName);
  const note = { containers: containers.map(({ id }) => id), staging };
  let isOurs = false;
  await using _note = await noteFreeze(parts.paths.checkpoints, note);
  try {
    await mkdir(pod, { recursive: true, mode: 0o700 });
    await whileFrozen(parts, op, containers, async () => {
      for (const [at, { id, task }] of containers.entries()) {
        await dumpContainer(parts, op, { id, task, folder: folderOf(at) });
      }
    });
    await op.run("describe", async () => {
      for (const [at, { record }] of containers.entries()) {
        await describeContainer(parts, record, folderOf(at), op);
      }
      await writePod(pod, {
        config: sandbox.config,
        runtime: handlerOfPod(parts, sandbox.id).config.type,
        containers: containers.map(({ record: { config, imageId } }) => ({ config, imageId })),
      });
    });
    const packed = path.join(staging, podArchiveName);
    await op.run("archive", () => packArchive(pod, packed, op));
    await rename(packed, archive);
    isOurs = true;
    await syncDirectory(outputPath);
    op.signal.throwIfAborted();
  } catch (error) {
    if (isOurs) await rm(archive, { force: true }).catch(() => {});
    throw asUnwritable(outputPath, error);
  } finally {
    await parts.remover.remove(staging);
    await parts.remover.settled(outputPath, { signal: cleanupDeadline() }).catch(() => {});
  }
}

function asUnwritable(outputPath: string, error: unknown): unknown {
  const errno = isFault(error) ? undefined : errnoOf(error);
  if (errno === undefined) return error;
  return fault("FAILED_PRECONDITION", `cannot write to output_path "${outputPath}": ${errno}`, {
    cause: error,
  });
}
