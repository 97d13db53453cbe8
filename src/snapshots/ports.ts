// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { TypesMount } from "../gen/types.gen.ts";

/**
 * A snapshotter keeps file-system layers.
 *
 * Terms: an *active* snapshot has a *key* and is writable; Commit turns it into a *committed* one
 * with a *name*, which is immutable and may be the *parent* of others; a *view* is read-only with a
 * key. Names and keys share one space per namespace. Prepare and View answer mounts; the caller
 * mounts and unmounts them; the snapshotter itself leaves nothing mounted.
 *
 * Errors: NOT_FOUND (key, parent), ALREADY_EXISTS (key, name), FAILED_PRECONDITION (remove of a
 * parent, commit of what is not active).
 */
export interface Snapshotter {
  readonly name: string;
  /** The folder of everything it keeps. */
  readonly root: string;
  stat(namespace: string, key: string): SnapshotInfo;
  list(namespace: string): readonly SnapshotInfo[];
  prepare(
    namespace: string,
    key: string,
    parent: string,
    options: PrepareOptions & Cancellable,
  ): Promise<TypesMount[]>;
  view(
    namespace: string,
    key: string,
    parent: string,
    options: PrepareOptions & Cancellable,
  ): Promise<TypesMount[]>;
  mounts(namespace: string, key: string): TypesMount[];
  commit(
    namespace: string,
    name: string,
    key: string,
    options: CommitOptions & Cancellable,
  ): Promise<void>;
  remove(namespace: string, key: string, call: Cancellable): Promise<void>;
  update(
    namespace: string,
    key: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<SnapshotInfo>;
  /** Bytes and inodes that the snapshot itself holds, without its parents. Walks the directory for an active one. */
  usage(namespace: string, key: string, call: UsageCall): Promise<SnapshotUsage>;
  /**
   * The folders that hold the snapshot's own files and its parents', top first; none for "", which is what a snapshot
   * without a parent has below it. From memory.
   */
  directories(namespace: string, key: string): readonly string[];
  /** How a layer's deletions are kept in these folders: as overlayfs has them, or by absence. */
  readonly whiteouts: "overlay" | "none";
  /** Removes folders that an interrupted removal has left. */
  cleanup(call: Cancellable): Promise<void>;
}

export interface PrepareOptions {
  readonly labels?: Readonly<Record<string, string>>;
}

export interface CommitOptions extends PrepareOptions {
  /**
   * Gives a snapshot that was prepared without parent its parent at the last moment, so that the
   * layers of an image can be extracted side by side. FAILED_PRECONDITION when it has another one.
   */
  readonly parent?: string;
  /** What the snapshot holds, when the caller knows it already; saves a walk. */
  readonly usage?: SnapshotUsage;
}

export type SnapshotKind = "VIEW" | "ACTIVE" | "COMMITTED";

export interface SnapshotInfo {
  readonly name: string;
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly createdAtNanos: bigint;
  readonly updatedAtNanos: bigint;
  readonly labels: Readonly<Record<string, string>>;
}

export interface UsageCall extends Cancellable {
  /** How long a walk may take; then what it found so far is the answer. Default ten minutes. */
  readonly longestMs?: number;
}

export interface SnapshotUsage {
  readonly sizeBytes: bigint;
  readonly inodes: bigint;
  /** A lower bound: the walk took too long, or could not read everything. */
  readonly isPartial?: boolean;
}
