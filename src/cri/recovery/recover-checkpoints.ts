// SPDX-License-Identifier: Apache-2.0
import { rm } from "node:fs/promises";
import path from "node:path";
import { type FreezeNeeds, thawAll } from "../checkpoint/freeze-containers.ts";
import { type FreezeNote, readFreezeNotes } from "../checkpoint/freeze-notes.ts";
import type { CriParts } from "../parts.ts";

export type RecoverCheckpointsNeeds = FreezeNeeds &
  Pick<CriParts, "liveContainers" | "paths" | "remover">;

/** What takes longer goes on in the background. */
const thawMs = 10_000;

/**
 * Ends what a daemon that was killed has begun: pods that stand still for a checkpoint run on, and of that nothing lies
 * around. Never rejects.
 */
export async function recoverCheckpoints(parts: RecoverCheckpointsNeeds): Promise<void> {
  const { log, paths, remover } = parts;
  await remover.sweep(paths.restores);
  try {
    const notes = await readFreezeNotes(paths.checkpoints);
    await Promise.all(
      notes.map(async ({ file, note }) => {
        if (note !== undefined) await cutOff(parts, note);
        await rm(file, { force: true });
      }),
    );
  } catch (err) {
    log.error({ err }, "pods that stand still for a checkpoint could not be looked for");
  }
}

async function cutOff(parts: RecoverCheckpointsNeeds, note: FreezeNote): Promise<void> {
  const { liveContainers, log, remover } = parts;
  const { containers, staging } = note;
  log.warn({ containers, staging }, "checkpoint was cut off: its pod is thawed");
  const frozen = containers.flatMap((id) => {
    const { task } = liveContainers.of(id);
    return task ? [{ id, task }] : [];
  });
  await thawAll(parts, frozen, thawMs).catch(() => {}); // goes on in the background, and is logged
  await remover.remove(staging);
  await remover.sweep(path.dirname(staging));
}
