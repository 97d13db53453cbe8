// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { digestOf } from "../content/digest.ts";
import type { ContentStore } from "../content/ports.ts";
import type { Descriptor } from "./manifest/documents.ts";

/** Where an image's blobs come from: a registry, or an archive. */
export interface ImageSource {
  /** A small document's bytes, unchecked. */
  document(descriptor: Descriptor, call: Cancellable): Promise<Buffer>;
  /** Brings a blob into the content store, verified; nothing to do when it is there. */
  fetch(descriptor: Descriptor, call: Cancellable): Promise<void>;
}

/** Marks what images brought in. */
export const ownedLabel = "io.berth.image";
export const owned: Readonly<Record<string, string>> = { [ownedLabel]: "true" };

/** A document from the content store, or from the source into it. */
export async function obtainDocument(
  content: ContentStore,
  namespace: string,
  source: ImageSource,
  descriptor: Descriptor,
  call: Cancellable,
): Promise<Buffer> {
  const { digest } = descriptor;
  if (content.info(namespace, digest)) return content.read(digest, call);
  const bytes = await source.document(descriptor, call);
  if (digestOf(bytes) !== digest) {
    throw fault("FAILED_PRECONDITION", `content "${digest}" arrived with another digest`);
  }
  await storeBytes(content, namespace, bytes, call);
  return bytes;
}

/** Puts bytes at hand into the content store. */
export async function storeBytes(
  content: ContentStore,
  namespace: string,
  bytes: Buffer,
  call: Cancellable,
): Promise<void> {
  const digest = digestOf(bytes);
  if (content.info(namespace, digest)) return;
  // The ref is ours alone, so two callers with the same bytes do not meet.
  const ref = `document-${digest}-${crypto.randomUUID()}`;
  await using writer = await content.writer(namespace, ref, { sizeBytes: BigInt(bytes.length) });
  await writer.write(bytes, call);
  await writer.commit({ expected: digest, labels: owned });
}
