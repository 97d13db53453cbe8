// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { ContentInfo, ContentStore, ReadsAlong } from "../../content/ports.ts";
import {
  type BeginEarly,
  type ImageSource,
  inlineBytes,
  type Labels,
  label,
  owned,
  storeBytes,
} from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import type { TransferStep } from "../ports.ts";
import { type DownloadOptions, downloadBlob } from "./download.ts";
import { proveBlob } from "./prove-blob.ts";
import type { RegistryClient } from "./registry-client.ts";
import { isFrom, isFromRegistry, sourceLabel } from "./source-label.ts";

export interface RegistrySourceOptions
  extends Omit<DownloadOptions, "client" | "content" | "labels" | "along" | "begins" | "onOffset"> {
  readonly client: RegistryClient;
  readonly content: ContentStore;
  readonly maxConcurrentDownloads: number;
  /** Hears how far each layer is. */
  readonly onStep?: (step: TransferStep) => void;
}

/**
 * An image's blobs from its registry, for one pull. Blobs that are here already are not downloaded again where their
 * label says that the registry has given them: for this repository, or for another one, and then it is asked once with
 * our own credentials. A registry that never gave a blob could say yes to any digest, and its pods would read somebody
 * else's layer: it must send all bytes once.
 */
export class RegistrySource implements ImageSource {
  readonly #options: RegistrySourceOptions;
  readonly #permits: Semaphore;

  constructor(options: RegistrySourceOptions) {
    this.#options = options;
    this.#permits = new Semaphore(Math.max(1, options.maxConcurrentDownloads));
  }

  document(descriptor: Descriptor, call: Cancellable): Promise<Buffer> {
    return this.#options.client.document(descriptor, call);
  }

  async fetch(descriptor: Descriptor, call: Cancellable, begin?: BeginEarly): Promise<void> {
    const { content, namespace, client } = this.#options;
    const { digest, size } = descriptor;
    const inline = inlineBytes(descriptor);
    if (inline) {
      const store = { content, namespace, digest };
      await storeBytes(store, inline, call, (labels) => this.labels(labels));
      return;
    }
    using turn = new Turn(this.#permits);
    await turn.take(call);
    if (!content.info(namespace, digest)) {
      const labels = this.labels.bind(this);
      const along: ReadsAlong = {
        begin: (file) => begin?.(file),
        complete: () => turn.giveBack(), // the next one need not wait until this one is proven
      };
      // One that proves to be wrong begins anew.
      const begins = turn.take.bind(turn);
      const step = { digest, kind: "layer", state: "downloading", totalBytes: size } as const;
      const onOffset = (doneBytes: number): void => this.onStep({ ...step, doneBytes });
      const options = { ...this.#options, labels, along, begins, onOffset };
      if (await downloadBlob(options, descriptor, call)) return;
    }
    const known = content.info(namespace, digest);
    if (!known) throw fault("NOT_FOUND", `content "${digest}" was removed meanwhile`);
    if (!this.gives(known)) {
      if (isFromRegistry(known.labels, client.reference)) await client.assertReadable(digest, call);
      else await proveBlob({ ...this.#options, begins: turn.take.bind(turn) }, descriptor, call);
      await label(content, namespace, digest, (labels) => this.labels(labels));
    }
    if (known.sizeBytes !== BigInt(size)) {
      throw fault(
        "FAILED_PRECONDITION",
        `blob "${digest}" has ${known.sizeBytes} bytes, its descriptor says ${size}`,
      );
    }
  }

  onStep(step: TransferStep): void {
    this.#options.onStep?.(step);
  }

  async vouchesFor(
    { digest, labels }: Pick<ContentInfo, "digest" | "labels">,
    call: Cancellable,
  ): Promise<boolean> {
    const { client } = this.#options;
    if (!isFromRegistry(labels, client.reference)) return false;
    using _permit = await this.#permits.acquire(call);
    await client.assertReadable(digest, call);
    return true;
  }

  gives({ labels }: Pick<ContentInfo, "labels">): boolean {
    return isFrom(labels, this.#options.client.reference);
  }

  labels(known: Labels | undefined): Labels {
    return { ...owned, ...sourceLabel(known ?? {}, this.#options.client.reference) };
  }
}

/** A permit that may be given back and taken again. */
class Turn implements Disposable {
  readonly #permits: Semaphore;
  #permit: Disposable | undefined;

  constructor(permits: Semaphore) {
    this.#permits = permits;
  }

  /** Does nothing for one that is held. */
  async take(call: Cancellable): Promise<void> {
    this.#permit ??= await this.#permits.acquire(call);
  }

  giveBack(): void {
    this.#permit?.[Symbol.dispose]();
    this.#permit = undefined;
  }

  [Symbol.dispose](): void {
    this.giveBack();
  }
}
