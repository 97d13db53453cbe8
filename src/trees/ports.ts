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
