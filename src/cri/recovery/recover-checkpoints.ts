// SPDX-License-Identifier: Apache-2.0
import { rm } from "node:fs/promises";
import path from "node:path";
import { type FreezeNeeds, thawAll } from "../checkpoint/freeze-containers.ts";
import { type FreezeNote, readFreezeNotes } from "../checkpoint/freeze-notes.ts";
import type { CriParts } from "../parts.ts";

export type RecoverCheckpointsNeeds = FreezeNeeds &
  Pick<CriParts, "containers" | "liveContainers" | "paths" | "remover">;

/** What takes longer goes on in the background. */
const thawMs = 10_000;

/**
 * Ends what a daemon that was killed has begun: pods that stand still for a checkpoint run on, and of that nothing lies
 * around. A pod is thawed once those of its containers are back whose recovery goes on. Never rejects.
 */
export async function recoverCheckpoints(
  parts: RecoverCheckpointsNeeds,
  pending: ReadonlyMap<string, Promise<void>>,
): Promise<{ readonly later: Promise<void> }> {
  const { lifetime, log, paths, remover } = parts;
  await remover.sweep(paths.restores);
  const later: Promise<void>[] = [];
  try {
    const notes = await readFreezeNotes(paths.checkpoints);
    await Promise.all(
      notes.map(async ({ file, note }) => {
        if (note === undefined) return rm(file, { force: true });
        const awaited = note.containers.flatMap((id) => pending.get(id) ?? []);
        if (awaited.length === 0) return cutOff(parts, file, note);
        const back = Promise.all(awaited).then(async () => {
          if (!lifetime.aborted) await cutOff(parts, file, note);
        });
        later.push(
          back.catch((err: unknown) => log.error({ err, file }, "pod could not be thawed")),
        );
      }),
    );
  } catch (err) {
    log.error({ err }, "pods that stand still for a checkpoint could not be looked for");
  }
  return { later: Promise.all(later).then(() => {}) };
}

/** The note goes once nobody of it is left that may stand still. */
async function cutOff(
  parts: RecoverCheckpointsNeeds,
  file: string,
  note: FreezeNote,
): Promise<void> {
  const { liveContainers, log, remover } = parts;
  const { containers, staging } = note;
  log.warn({ containers, staging }, "checkpoint was cut off: its pod is thawed");
  const frozen = containers.flatMap((id) => {
    const task = liveContainers.get(id)?.task;
    return task ? [{ id, task }] : [];
  });
  await thawAll(parts, frozen, thawMs).catch(() => {}); // goes on in the background, and is logged
  await remover.remove(staging);
  await remover.sweep(path.dirname(staging));
  const unknown = containers.filter((id) => parts.containers.get(id)?.state.kind === "unknown");
  if (unknown.length === 0) await rm(file, { force: true });
}
