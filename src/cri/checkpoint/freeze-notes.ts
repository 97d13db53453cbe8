// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import { errnoOf } from "../../base/errors.ts";
import { isRecord } from "../../base/is-record.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { newObjectId } from "../store/record-store.ts";

/**
 * What a pod's checkpoint is about to freeze and to leave lying: noted before, so that the daemon after one that was killed
 * thaws and removes it.
 */
export interface FreezeNote {
  readonly containers: readonly string[];
  /** Folder of the half-made checkpoint. */
  readonly staging: string;
}

/** Names of half-made checkpoints in a caller's folder. */
export const stagingPrefix = ".berth-checkpoint-";
const maxNoteBytes = 1024 * 1024;

/** Disposing it forgets the note: all run again, and nothing lies around. */
export async function noteFreeze(folder: string, note: FreezeNote): Promise<AsyncDisposable> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, `${newObjectId()}.json`);
  await writeFileAtomic(file, JSON.stringify(note));
  return { [Symbol.asyncDispose]: () => rm(file, { force: true }) };
}

/** The notes of a daemon that is no more, with their files. What cannot be read is no note, and its file goes. */
export async function readFreezeNotes(
  folder: string,
): Promise<readonly { readonly file: string; readonly note: FreezeNote | undefined }[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  });
  return Promise.all(
    names.map(async (name) => {
      const file = path.join(folder, name);
      return { file, note: await readNote(file).catch(() => undefined) };
    }),
  );
}

async function readNote(file: string): Promise<FreezeNote | undefined> {
  const note: unknown = JSON.parse((await readBounded(file, maxNoteBytes)).toString());
  if (!isRecord(note)) return undefined;
  const { containers, staging } = note;
  if (!Array.isArray(containers) || typeof staging !== "string") return undefined;
  if (!path.isAbsolute(staging) || !path.basename(staging).startsWith(stagingPrefix))
    return undefined;
  return { containers: containers.filter((id) => typeof id === "string"), staging };
}
