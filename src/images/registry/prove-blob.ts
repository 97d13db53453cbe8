// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { nowNanos } from "../../base/now.ts";
import { algorithmOf, RunningDigest } from "../../content/digest.ts";
import type { ContentWriter, Digest, IngestStatus } from "../../content/ports.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { type DownloadOptions, downloadBlob } from "./download.ts";

/**
 * Has a registry send all bytes of a blob that is here from elsewhere, and keeps none of them: by a digest alone nobody
 * gets what others have pulled. Errors as downloadBlob.
 */
export async function proveBlob(
  options: Omit<DownloadOptions, "content" | "labels" | "along">,
  descriptor: Descriptor,
  call: Cancellable,
): Promise<void> {
  const content = new KeepsNothing(descriptor);
  await downloadBlob({ ...options, content, labels: () => ({}) }, descriptor, call);
}

type Store = DownloadOptions["content"];

/** A content store of one ingest, of which it knows no more than length and digest. */
class KeepsNothing implements Store {
  readonly #descriptor: Descriptor;
  #writer: HashingWriter;

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
    this.#writer = new HashingWriter(descriptor);
  }

  info(): undefined {
    return undefined;
  }

  writing(): undefined {
    return undefined;
  }

  async writer(): Promise<ContentWriter> {
    return this.#writer;
  }

  async abort(): Promise<void> {
    this.#writer = new HashingWriter(this.#descriptor);
  }
}

class HashingWriter implements ContentWriter {
  readonly #descriptor: Descriptor;
  #hash: RunningDigest;
  #offset = 0;

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
    this.#hash = new RunningDigest(algorithmOf(descriptor.digest));
  }

  get offsetBytes(): bigint {
    return BigInt(this.#offset);
  }

  status(): IngestStatus {
    const { digest, size } = this.#descriptor;
    const now = nowNanos();
    return {
      ref: digest,
      offsetBytes: this.offsetBytes,
      totalBytes: BigInt(size),
      expected: digest,
      startedAtNanos: now,
      updatedAtNanos: now,
    };
  }

  async write(chunk: Uint8Array, { signal }: Cancellable): Promise<void> {
    signal.throwIfAborted();
    this.#hash.update(chunk);
    this.#offset += chunk.byteLength;
  }

  async truncate(): Promise<void> {
    this.#hash = new RunningDigest(this.#hash.algorithm);
    this.#offset = 0;
  }

  async digest(): Promise<Digest> {
    return this.#hash.digest();
  }

  /** There is nothing to commit: whoever commits has held the digest against what was asked for. */
  commit(): Promise<Digest> {
    return this.digest();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
