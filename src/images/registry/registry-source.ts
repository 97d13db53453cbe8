// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { SingleFlight } from "../../base/single-flight.ts";
import type { ImageSource } from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { isIndexType, isManifestType } from "../manifest/media-types.ts";
import { type DownloadOptions, downloadBlob } from "./download.ts";
import { type HttpAnswer, readBody } from "./http-client.ts";
import { maxManifestBytes, type RegistryClient } from "./registry-client.ts";

export interface RegistrySourceOptions extends DownloadOptions {
  readonly client: RegistryClient;
  readonly maxConcurrentDownloads: number;
  /** Shared by all pulls, so that two images with a layer in common fetch it once. */
  readonly downloads: SingleFlight<void>;
}

/** An image's blobs from its registry, for one pull. */
export class RegistrySource implements ImageSource {
  readonly #options: RegistrySourceOptions;
  readonly #permits: Semaphore;

  constructor(options: RegistrySourceOptions) {
    this.#options = options;
    this.#permits = new Semaphore(Math.max(1, options.maxConcurrentDownloads));
  }

  async document({ digest, mediaType }: Descriptor, call: Cancellable): Promise<Buffer> {
    const { client } = this.#options;
    if (isIndexType(mediaType) || isManifestType(mediaType)) return client.manifest(digest, call);
    const { answer } = await client.blob(digest, 0, call);
    return readDocument(answer);
  }

  async fetch(descriptor: Descriptor, call: Cancellable): Promise<void> {
    const { downloads } = this.#options;
    await downloads.run(
      descriptor.digest,
      async (shared) => {
        using _permit = await this.#permits.acquire(shared);
        await downloadBlob(this.#options, descriptor, shared);
      },
      call,
    );
  }
}

function readDocument(answer: HttpAnswer): Promise<Buffer> {
  return readBody(answer, maxManifestBytes);
}
