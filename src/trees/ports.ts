// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { JobKind, JobRequest, JobResult } from "./jobs.ts";

/** Runs jobs on foreign trees, away from the main thread. */
export interface TreeWork {
  /**
   * Waits for its turn and then for its end. Aborting ends it between two entries. RESOURCE_EXHAUSTED when
   * too many wait; UNAVAILABLE when the thread died with it: then it may be tried again.
   */
  run<K extends JobKind>(kind: K, request: JobRequest<K>, call: Cancellable): Promise<JobResult<K>>;
}

/** Removes files and folders whose content is not ours. Paths are absolute, and ours. */
export interface RemovesTrees {
  /**
   * Resolves when nothing has this path any more; the content goes in the background. Nothing happens when
   * nothing is there. Where even the move fails, on a full disk say, the tree goes from where it is,
   * and the path is there for a while. `into`: another folder on the same file system that is swept; else
   * its own. Never rejects.
   */
  remove(file: string, into?: string): Promise<void>;
  /** Has what earlier removals left in a folder go, in the background. Never rejects. */
  sweep(folder: string): Promise<void>;
  /** Resolves when what is on its way out of a folder has gone, or cannot. */
  settled(folder: string, call: Cancellable): Promise<void>;
  /** What could not be removed so far. */
  readonly stuck: readonly StuckTree[];
}

/** A tree that is to go and could not so far. */
export interface StuckTree {
  readonly path: string;
  /** Of errno (EPERM, EBUSY, EIO, …), or of a fault. */
  readonly code: string;
  readonly attempts: number;
  /** When it was to go, in milliseconds since 1970; for what an earlier daemon left, when it was found. */
  readonly sinceMs: number;
}
