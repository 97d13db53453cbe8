// SPDX-License-Identifier: Apache-2.0
import { errnoOf } from "../base/errors.ts";
import { atCurrent, openAt, openFolder } from "../base/os/at.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Job } from "./jobs.ts";
import { Removal } from "./removal.ts";

export interface RemoveRequest {
  /** Absolute path of a folder of ours. */
  readonly folder: string;
  /** The name in it that is to be removed, whatever it is. */
  readonly name: string;
}

export interface RemoveResult {
  /** Names that went. */
  readonly removed: number;
  /** undefined when all is gone. */
  readonly left: Left | undefined;
}

/** The first name that could not be removed, and why. */
export interface Left {
  /** Of errno: EPERM, EBUSY, … */
  readonly code: string;
  readonly name: string;
}

/**
 * Removes a tree, whatever is in it, or as much of it as can be removed. Names are bytes, the path's length does not
 * matter, links are never followed, and what is mounted below is detached, never entered. Descriptors and memory are
 * bounded: see Removal. Needs disk space only where a tree is very deep and the disk very full; then all else is
 * removed first.
 */
export function* removeTree(
  { folder, name }: RemoveRequest,
  descriptors: Descriptors,
): Job<RemoveResult> {
  let removed = 0;
  const place = openPlace(folder, descriptors);
  if (place === undefined) return { removed, left: undefined };
  try {
    for (;;) {
      using pass = new Removal(place, Buffer.from(name), descriptors);
      yield* pass.run();
      removed += pass.removed;
      // What was in the way, or had the space that a move needed, may be gone by now.
      if (pass.left === undefined || pass.removed === 0) return { removed, left: pass.left };
    }
  } finally {
    descriptors.close(place);
  }
}

function openPlace(folder: string, descriptors: Descriptors): number | undefined {
  try {
    return descriptors.keep(openAt(atCurrent, Buffer.from(folder), openFolder));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
