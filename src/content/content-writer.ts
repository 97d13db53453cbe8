// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { freeBytes } from "../base/free-bytes.ts";
import { nowNanos } from "../base/now.ts";
import { onDisk } from "../base/on-disk.ts";
import { allSettled } from "../base/waits.ts";
import { Along } from "./along.ts";
import { algorithmOf, type DigestAlgorithm, RunningDigest } from "./digest.ts";
import { type GatherBuffer, type GatherBuffers, gatherBytes } from "./gather-buffers.ts";
import type { OpenIngest } from "./ingest.ts";
import type { ContentWriter, Digest, IngestStatus, ReadsAlong } from "./ports.ts";

type CommitOptions = Parameters<ContentWriter["commit"]>[0];

/** What the writer leaves to its store: publishing a finished file, and giving the ref back. */
export interface WriterHost {
  readonly buffers: GatherBuffers;
  publish(ingest: OpenIngest, size: bigint, digest: Digest, labels: Labels): Promise<void>;
  release(): void;
}

export type Labels = Readonly<Record<string, string>>;

/** Appends to an ingest and keeps its digest as it goes; see the port for the contract. */
export class IngestWriter implements ContentWriter {
  readonly #ingest: OpenIngest;
  readonly #host: WriterHost;
  /** Of the first so many bytes: what was there before is read at the end, if nobody has read it along. */
  #hash: RunningDigest;
  #hashed = 0;
  #along: Along | undefined;
  #offset: number;
  readonly #using: Disposable;
  /** What was written and is not in the file yet. */
  #gathered: GatherBuffer | undefined;
  #updatedAtNanos: bigint;
  #closed = false;

  constructor(ingest: OpenIngest, host: WriterHost, along?: ReadsAlong) {
    this.#ingest = ingest;
    this.#host = host;
    this.#using = host.buffers.use();
    this.#offset = ingest.offsetBytes;
    const { file, totalBytes, offsetBytes, expected } = ingest;
    this.#hash = new RunningDigest(expected && algorithmOf(expected));
    if (along && totalBytes > 0n) {
      this.#along = new Along(along, file, Number(totalBytes), offsetBytes);
      this.#along.come(offsetBytes);
    }
    this.#updatedAtNanos = ingest.updatedAtNanos;
  }

  get offsetBytes(): bigint {
    return BigInt(this.#offset);
  }

  status(): IngestStatus {
    const { ref, totalBytes, expected, startedAtNanos } = this.#ingest;
    return {
      ref,
      offsetBytes: this.offsetBytes,
      totalBytes,
      expected,
      startedAtNanos,
      updatedAtNanos: this.#updatedAtNanos,
    };
  }

  /** Copies the chunk: the sender decides how small chunks are, and each must not become an object of its own. */
  async write(chunk: Uint8Array, { signal }: Cancellable): Promise<void> {
    signal.throwIfAborted();
    this.#assertOpen();
    if (this.#hashed === this.#offset && this.#along?.isRead !== true) {
      this.#hash.update(chunk);
      this.#hashed += chunk.byteLength;
    }
    this.#offset += chunk.byteLength;
    this.#updatedAtNanos = nowNanos();
    this.#along?.come(this.#offset);
    for (let rest = chunk; rest.byteLength > 0; ) {
      this.#gathered ??= this.#host.buffers.take(this.#likelyBytes(rest.byteLength));
      rest = rest.subarray(this.#gathered.add(rest));
      if (this.#gathered.isFull) {
        await this.#flush();
        this.#assertOpen();
      }
    }
  }

  async truncate(offsetBytes: bigint): Promise<void> {
    this.#assertOpen();
    if (offsetBytes !== 0n) {
      throw fault("UNIMPLEMENTED", `cannot truncate ingest "${this.#ingest.ref}": only to 0`);
    }
    this.#drop();
    await this.#ingest.handle.truncate(0);
    this.#hash = new RunningDigest(this.#hash.algorithm);
    this.#offset = this.#hashed = 0;
    this.#along = undefined; // whoever reads along has read what is no more
  }

  async digest(algorithm: DigestAlgorithm = this.#hash.algorithm): Promise<Digest> {
    if (algorithm !== this.#hash.algorithm) {
      this.#hash = new RunningDigest(algorithm);
      this.#hashed = 0;
      this.#along = undefined;
    }
    if (this.#hashed === this.#offset) return this.#hash.digest();
    await this.#flush();
    // What else it may have read, only these bytes count.
    const { expected } = this.#ingest;
    if (expected !== undefined && (await this.#along?.digest()) === expected) return expected;
    await this.#catchUp();
    return this.#hash.digest();
  }

  async commit(options: CommitOptions): Promise<Digest> {
    this.#assertOpen();
    await this.#flush();
    const { ref } = this.#ingest;
    const size = options.sizeBytes ?? this.#ingest.totalBytes;
    if (size !== 0n && size !== this.offsetBytes) {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot commit ingest "${ref}": ${this.#offset} bytes were written, expected ${size}`,
      );
    }
    const expected = options.expected ?? this.#ingest.expected;
    const [digest] = await allSettled([
      this.digest(expected && algorithmOf(expected)),
      this.#write(() => this.#ingest.handle.sync()),
    ]);
    if (expected !== undefined && expected !== digest) {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot commit ingest "${ref}": digest is ${digest}, expected ${expected}`,
      );
    }
    await this.#host.publish(this.#ingest, this.offsetBytes, digest, options.labels ?? {});
    await this.#close();
    return digest;
  }

  /** Closes the ingest and keeps its bytes, so that a later writer of the ref resumes there. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#flush();
      // The kernel's own time is some milliseconds old, and could be before the write began.
      const updatedAtSeconds = Number(this.#updatedAtNanos) / 1e9;
      await this.#ingest.handle.utimes(updatedAtSeconds, updatedAtSeconds);
    } finally {
      await this.#close();
    }
  }

  /** Closes the ingest without the bytes that were not written yet: it is about to be removed. */
  async discard(): Promise<void> {
    this.#drop();
    await this.#close();
  }

  /** Hashes what was left to somebody who has not read it. */
  async #catchUp(): Promise<void> {
    const { handle } = this.#ingest;
    const piece = Buffer.allocUnsafeSlow(gatherBytes);
    while (this.#hashed < this.#offset) {
      const most = Math.min(piece.length, this.#offset - this.#hashed);
      const { bytesRead } = await handle.read(piece, 0, most, this.#hashed);
      if (bytesRead === 0) throw fault("DATA_LOSS", `ingest "${this.#ingest.ref}" was cut off`);
      this.#hash.update(piece.subarray(0, bytesRead));
      this.#hashed += bytesRead;
    }
    freeBytes(piece);
  }

  async #flush(): Promise<void> {
    const full = this.#gathered;
    if (full === undefined) return;
    this.#gathered = undefined; // a write of its bytes is under way: it is nobody else's until that is over
    try {
      const bytes = full.bytes();
      await this.#write(async () => {
        const { bytesWritten } = await this.#ingest.handle.write(bytes);
        if (bytesWritten === bytes.length) return;
        // A short write of a regular file happens on a full disk; the rest brings the errno.
        await this.#ingest.handle.writeFile(bytes.subarray(bytesWritten));
      });
    } finally {
      this.#host.buffers.giveBack(full);
    }
    this.#along?.grown(this.#offset - this.#unwritten());
  }

  #write(work: () => Promise<void>): Promise<void> {
    return onDisk(`write "${this.#ingest.ref}"`, this.#ingest.file, work);
  }

  #unwritten(): number {
    return this.#gathered?.length ?? 0;
  }

  /** How many bytes there are for a buffer, when so many are at hand. */
  #likelyBytes(bytes: number): number {
    const left = Number(this.#ingest.totalBytes) - this.#offset;
    return left >= 0 && this.#ingest.totalBytes > 0n ? Math.max(bytes, left + bytes) : gatherBytes;
  }

  #drop(): void {
    if (this.#gathered) this.#host.buffers.giveBack(this.#gathered);
    this.#gathered = undefined;
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#drop();
    try {
      await this.#ingest.handle.close();
    } finally {
      this.#using[Symbol.dispose]();
      this.#host.release();
    }
  }

  #assertOpen(): void {
    if (this.#closed) {
      throw fault("FAILED_PRECONDITION", `ingest "${this.#ingest.ref}" is closed`);
    }
  }
}
