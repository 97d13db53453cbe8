// SPDX-License-Identifier: Apache-2.0
import { searchFile } from "./accounts/search-file.ts";
import { copyTree } from "./copy-tree.ts";
import type { Descriptors } from "./descriptors.ts";
import { measureTree } from "./measure-tree.ts";
import { removeTree } from "./remove-tree.ts";

/**
 * Work on a tree that somebody else made, in pieces. It yields at least every few dozen entries: then other jobs of
 * the thread have their turn, and a cancelled one ends. What it opens it keeps in `descriptors` and closes in
 * `finally`; how much that is, and its memory, is bounded whatever the tree is like.
 */
export type Job<R> = Generator<void, R, void>;

/** A kind of job. Request and answer are copied between the threads. */
type Work<Q, R> = (request: Q, descriptors: Descriptors) => Job<R>;

/**
 * All kinds. To add one, write a generator like those here, which throws RuntimeFault or SystemError, and
 * name it in this table: `TreeWork.run` then knows it. A new kind that must not wait behind removals
 * is run by another TreeWorker (see wiring): each is a thread of its own, there only while it has work.
 */
export const jobs = {
  remove: removeTree,
  measure: measureTree,
  copy: copyTree,
  search: searchFile,
};

type Jobs = typeof jobs;
export type JobKind = keyof Jobs;
export type JobRequest<K extends JobKind> = Jobs[K] extends Work<infer Q, infer _R> ? Q : never;
export type JobResult<K extends JobKind> = Jobs[K] extends Work<never, infer R> ? R : never;
