// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { JobKind, JobRequest, JobResult } from "./jobs.ts";

/** Runs jobs on foreign trees, away from the main thread. */
export interface TreeWork {
  /**
   * Waits for the job's turn and then for its end. Aborting ends it between two entries. RESOURCE_EXHAUSTED when too
   * many wait; UNAVAILABLE when its thread died: then it may be tried again.
   */
  run<K extends JobKind>(kind: K, request: JobRequest<K>, call: Cancellable): Promise<JobResult<K>>;
}

/** Removes files and folders whose content is not ours. Paths are absolute, and ours. */
export interface RemovesTrees {
  /**
   * Resolves when nothing has this path any more; the content is deleted in the background. Nothing happens when
   * nothing is there. Where it cannot be renamed, on a full disk say, the tree is deleted where it is, and the path
   * stays for a while. `into`: the folder to rename it into, on the same file system, which is swept; by default the
   * folder it is in. Never rejects.
   */
  remove(file: string, into?: string): Promise<void>;
  /** Deletes in the background what earlier removals left in a folder. Never rejects. */
  sweep(folder: string): Promise<void>;
  /** Resolves when what was removed from a folder has been deleted, or cannot be. */
  settled(folder: string, call: Cancellable): Promise<void>;
  /** What could not be removed so far. */
  readonly stuck: readonly StuckTree[];
}

/** A tree that is to be removed and could not be so far. */
export interface StuckTree {
  readonly path: string;
  /** Of errno (EPERM, EBUSY, EIO, …), or of a fault. */
  readonly code: string;
  readonly attempts: number;
  /** When it was removed, in milliseconds since 1970; for what an earlier daemon left, when it was found. */
  readonly sinceMs: number;
}
