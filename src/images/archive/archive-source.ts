// SPDX-License-Identifier: Apache-2.0
import { buffer } from "node:stream/consumers";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { unlessAborted } from "../../base/waits.ts";
import { algorithmOf, hexOf } from "../../content/digest.ts";
import type { Digest } from "../../content/ports.ts";
import { type ImageSource, type Labels, maxDocumentBytes, owned } from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import type { TransferStep } from "../ports.ts";
import type { Archive, Visit } from "./archive.ts";
import { existing, type NamedFile, type StoreTarget, storeFile } from "./store-file.ts";

/** The blobs of an OCI layout. */
export class ArchiveSource implements ImageSource {
  readonly #from: StoreTarget;
  /** What is on its way, by its digest. */
  readonly #ahead = new Map<Digest, PromiseWithResolvers<void>>();

  constructor(from: StoreTarget) {
    this.#from = from;
  }

  async document({ digest }: Descriptor, call: Cancellable): Promise<Buffer> {
    return readDocument(this.#from.archive, blobName(digest), call);
  }

  async fetch({ digest, size }: Descriptor, call: Cancellable): Promise<void> {
    const { content, namespace } = this.#from;
    await unlessAborted(Promise.resolve(this.#ahead.get(digest)?.promise), call.signal);
    if (content.info(namespace, digest)) return;
    const name = blobName(digest);
    await storeFile(this.#from, await existing(this.#from, name, call), call, { digest, size });
  }

  /**
   * Begins to bring in what will be fetched of a compressed archive, which is read once for all of it; of others each is
   * as near as the next, and nothing is done. Ends with what it answers.
   */
  fetchAhead(blobs: readonly Descriptor[], { signal }: Cancellable): AsyncDisposable {
    const { archive, content, namespace } = this.#from;
    const wanted = new Map<string, Descriptor>();
    for (const blob of blobs) {
      if (content.info(namespace, blob.digest)) continue;
      wanted.set(blobName(blob.digest), blob);
    }
    if (!archive.isInflated || wanted.size === 0) return { [Symbol.asyncDispose]: async () => {} };
    const own = new AbortController();
    const call = { signal: AbortSignal.any([signal, own.signal]) };
    for (const { digest } of wanted.values()) {
      const arrival = Promise.withResolvers<void>();
      arrival.promise.catch(() => {}); // the one who fetches it hears of it
      this.#ahead.set(digest, arrival);
    }
    const take: Visit = async ([name = ""], file) => {
      const blob = wanted.get(name);
      if (blob) await this.#arrive(blob, { name, file }, call);
    };
    const work = archive.visit([...wanted.keys()], take, call).then(
      () => this.#endAhead((arrival) => arrival.resolve()), // those that are not there are told when they are fetched
      (error: unknown) => this.#endAhead((arrival) => arrival.reject(error)),
    );
    return {
      [Symbol.asyncDispose]: async () => {
        own.abort();
        await work;
      },
    };
  }

  async #arrive(blob: Descriptor, file: NamedFile, call: Cancellable): Promise<void> {
    const arrival = this.#ahead.get(blob.digest);
    try {
      await storeFile(this.#from, file, call, blob);
      arrival?.resolve();
    } catch (error) {
      arrival?.reject(error); // another image may do without it
      call.signal.throwIfAborted();
    }
  }

  #endAhead(end: (arrival: PromiseWithResolvers<void>) => void): void {
    for (const arrival of this.#ahead.values()) end(arrival);
    this.#ahead.clear();
  }

  onStep(step: TransferStep): void {
    this.#from.onStep?.(step);
  }

  /** Whoever may load an archive here may read all that is here. */
  gives(): boolean {
    return true;
  }

  async vouchesFor(): Promise<boolean> {
    return true;
  }

  labels(): Labels {
    return owned;
  }
}

/** A small file of an archive; NOT_FOUND when absent. */
export async function readDocument(
  archive: Archive,
  name: string,
  call: Cancellable,
): Promise<Buffer> {
  const { file } = await existing({ archive }, name, call);
  if (file.sizeBytes > maxDocumentBytes) {
    throw fault(
      "RESOURCE_EXHAUSTED",
      `"${name}" of the archive has ${file.sizeBytes} bytes, more than ${maxDocumentBytes}`,
    );
  }
  return unlessAborted(buffer(file.stream()), call.signal);
}

function blobName(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}
