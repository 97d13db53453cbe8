// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { RuntimeFault } from "../base/errors.ts";
import type { DigestAlgorithm } from "./digest.ts";

/** `sha256:` and 64 hex digits, or of another algorithm of digest.ts. */
export type Digest = string & { readonly __brand: "Digest" };

export interface ContentInfo {
  readonly digest: Digest;
  readonly sizeBytes: bigint;
  readonly createdAtNanos: bigint;
  readonly updatedAtNanos: bigint;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The content store: immutable blobs by digest, and *ingests* (unfinished writes) by ref. A blob is
 * visible only after its digest was verified and its file was made durable. Blobs are shared by all
 * namespaces; labels, and with them visibility, belong to a namespace.
 */
export interface ContentStore {
  /** Folder of all blobs and ingests. */
  readonly root: string;
  info(namespace: string, digest: Digest): ContentInfo | undefined;
  list(namespace: string): readonly ContentInfo[];
  /** The blob's file, for readers; NOT_FOUND when absent. */
  pathOf(digest: Digest): string;
  /** All of a small blob, held against its digest. DATA_LOSS for a damaged one, which is dropped: a pull brings it again. */
  read(digest: Digest, call: Cancellable): Promise<Buffer>;
  /** Opens an ingest; resumes it when the ref exists. UNAVAILABLE when another writer holds the ref. */
  writer(namespace: string, ref: string, options: WriterOptions): Promise<ContentWriter>;
  setLabels(
    namespace: string,
    digest: Digest,
    labels: Readonly<Record<string, string>>,
  ): Promise<ContentInfo>;
  delete(namespace: string, digest: Digest): Promise<void>;
  /** The blob's file as it is now, to be looked into; undefined when it is gone. */
  fileNow(digest: Digest): BlobFile | undefined;
  /**
   * Drops a blob whose file was found not to be what its digest says, from all namespaces; the fault that says so.
   * Undefined, and nothing is done, when the file is another by now: somebody has brought the blob in again.
   */
  dropDamaged(digest: Digest, found: DamagedBlob): Promise<RuntimeFault | undefined>;
  /** The writer that holds a ref now; undefined when there is none. */
  writing(namespace: string, ref: string): WritingStatus | undefined;
  ingests(namespace: string): Promise<readonly IngestStatus[]>;
  /** Forgets an ingest. NOT_FOUND when there is none, UNAVAILABLE when it is being written. */
  abort(namespace: string, ref: string, options?: AbortOptions): Promise<void>;
}

/** Tells one file of a blob from another. */
export interface BlobFile {
  readonly inode: bigint;
  readonly changedAtNanos: bigint;
}

export interface DamagedBlob {
  /** The file that was looked into; undefined when there was none. */
  readonly seen: BlobFile | undefined;
  /** What is wrong with it, a clause. */
  readonly problem: string;
}

export interface WriterOptions {
  readonly expected?: Digest;
  readonly sizeBytes?: bigint;
  /**
   * Who gives the bytes. An ingest whose bytes are another's, or nobody knows whose, is begun anew. When left out, an
   * ingest is resumed whoever gave its bytes, and is nobody's from then on.
   */
  readonly source?: string;
  /** Reads along; only for a size that is known. */
  readonly along?: ReadsAlong;
}

/** Somebody who needs a blob's bytes before all are here, and tells their digest, so that they are hashed once. */
export interface ReadsAlong {
  /**
   * Offers the file that is being written, as long as it is worth it. The digest of all its bytes, or undefined when the
   * reader gives up; undefined at once when it cannot begin now. Never rejects.
   */
  begin(file: string): Promise<Digest | undefined> | undefined;
  /** All bytes have been written; they are yet to be proven. */
  complete(): void;
}

export interface AbortOptions {
  /** Take the ingest from its writer, whose further calls fail with FAILED_PRECONDITION. */
  readonly evenWhileWritten?: boolean;
}

export interface WritingStatus {
  /** Bytes that the ingest has so far. */
  readonly offsetBytes: bigint;
  /** Fires when the ref is free again. */
  readonly released: AbortSignal;
}

export interface IngestStatus {
  readonly ref: string;
  readonly offsetBytes: bigint;
  readonly totalBytes: bigint;
  readonly expected: Digest | undefined;
  readonly startedAtNanos: bigint;
  readonly updatedAtNanos: bigint;
}

export interface ContentWriter extends AsyncDisposable {
  readonly offsetBytes: bigint;
  status(): IngestStatus;
  /** Appends. */
  write(chunk: Uint8Array, call: Cancellable): Promise<void>;
  truncate(offsetBytes: bigint): Promise<void>;
  /** The digest of what was written so far, by the algorithm of the expected digest when left out. */
  digest(algorithm?: DigestAlgorithm): Promise<Digest>;
  /** Verifies size and digest, makes the blob durable and visible. ALREADY_EXISTS is success here. */
  commit(options: {
    readonly sizeBytes?: bigint;
    readonly expected?: Digest;
    readonly labels?: Readonly<Record<string, string>>;
  }): Promise<Digest>;
}
