// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../../base/cancellable.ts";
import { timeLimit } from "../../../base/deadline.ts";
import { ourShares } from "../../../base/memory/memory-shares.ts";
import { ParsingThreads } from "../../../base/parsing/parsing-threads.ts";
import type { OciSeccomp } from "../../../oci/spec.ts";
import { type ProfileTask, runProfileTask } from "./profile-task.ts";

/** What profiles in use have, and read within some milliseconds; 1 MiB takes 0.1 s. */
const inlineBytes = 16 * 1024;
/** The longest that there may be take half a second. */
const limitMs = 10_000;
/** A profile of 1 MiB becomes objects of forty times its size at most. */
const heapMiB = Math.min(128, ourShares().documentHeapMiB);

/**
 * Reads seccomp profiles: short files of the node at once, what is longer in a thread, and pulled ones too, whose
 * conditions may take long to be combined with those of their base, however short they are.
 */
export class ProfileReader {
  readonly #threads = new ParsingThreads<ProfileTask, OciSeccomp>({
    module: new URL("./profile-worker.ts", import.meta.url),
    name: "profiles",
    heapMiB,
    threads: 1,
    limitMs,
  });

  /** Throws an Error that says what is wrong with it; RESOURCE_EXHAUSTED and DEADLINE_EXCEEDED as ParsingThreads. */
  async read(task: ProfileTask, call?: Cancellable): Promise<OciSeccomp> {
    if (task.kind === "file" && task.text.length <= inlineBytes) return runProfileTask(task);
    using limit = timeLimit(2 * limitMs, ...(call ? [call.signal] : []));
    return await this.#threads.run(task, limit);
  }
}
