// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { digestOf } from "../content/digest.ts";
import type { ContentInfo, ContentStore } from "../content/ports.ts";
import { writeOnce } from "../content/write-once.ts";
import type { Descriptor } from "./manifest/documents.ts";

/** Where an image's blobs come from: a registry, or an archive. */
export interface ImageSource {
  /** A small document's bytes, unchecked. */
  document(descriptor: Descriptor, call: Cancellable): Promise<Buffer>;
  /**
   * Brings a blob into the content store, verified. What is there already must be what this source would
   * give as well: another's image on this node is no reason to get its layers.
   */
  fetch(descriptor: Descriptor, call: Cancellable): Promise<void>;
  /** False for a blob in the content store of which this source has not shown that it gives it too. */
  gives(blob: ContentInfo): boolean;
  /** What a blob of this source is labelled with, beside the labels that it has. */
  labels(known: Labels | undefined): Labels;
}

export type Labels = Readonly<Record<string, string>>;

/** Marks what images brought in. */
export const ownedLabel = "io.berth.image";
export const owned: Labels = { [ownedLabel]: "true" };

/** containerd's label of a layer's blob: the digest of its plain archive, once somebody has seen it. */
export const plainDigestLabel = "containerd.io/uncompressed";

/** Manifests, indexes and configs are read into memory; this much of one, and no more. */
export const maxDocumentBytes = ourShares().documentBytes;

/** The content store, and whose view of it. */
export interface NamespaceContent {
  readonly content: ContentStore;
  readonly namespace: string;
}

/**
 * A document from the content store, or from the source into it. RESOURCE_EXHAUSTED for one that is too
 * long, FAILED_PRECONDITION for one that is not what its descriptor says.
 */
export async function obtainDocument(
  store: NamespaceContent,
  source: ImageSource,
  descriptor: Descriptor,
  call: Cancellable,
): Promise<Buffer> {
  const { content, namespace } = store;
  const { digest } = descriptor;
  const known = content.info(namespace, digest);
  assertSize(descriptor, known ? Number(known.sizeBytes) : descriptor.size);
  if (known && source.gives(known)) return content.read(digest, call);
  const bytes = await source.document(descriptor, call);
  assertSize(descriptor, bytes.length);
  if (digestOf(bytes) !== digest) {
    throw fault("FAILED_PRECONDITION", `content "${digest}" arrived with another digest`);
  }
  await storeBytes(store, bytes, call, (labels) => source.labels(labels));
  return bytes;
}

/** Puts bytes at hand into the content store, or labels what is there. */
export async function storeBytes(
  { content, namespace }: NamespaceContent,
  bytes: Buffer,
  call: Cancellable,
  labelsFor: ImageSource["labels"] = () => owned,
): Promise<void> {
  const digest = digestOf(bytes);
  if (content.info(namespace, digest)) {
    await label(content, namespace, digest, labelsFor);
    return;
  }
  // The ref is ours alone, so two callers with the same bytes do not meet.
  const ref = `document-${digest}-${crypto.randomUUID()}`;
  await writeOnce(content, { namespace, ref, sizeBytes: BigInt(bytes.length) }, async (writer) => {
    await writer.write(bytes, call);
    const labels = labelsFor(content.info(namespace, digest)?.labels);
    await writer.commit({ expected: digest, labels });
  });
}

/** Adds a source's labels to a blob that has others. */
export async function label(
  content: ContentStore,
  namespace: string,
  digest: ContentInfo["digest"],
  labelsFor: ImageSource["labels"],
): Promise<void> {
  const known = content.info(namespace, digest)?.labels ?? {};
  const wanted = labelsFor(known);
  if (Object.entries(wanted).every(([key, value]) => known[key] === value)) return;
  await content.setLabels(namespace, digest, { ...known, ...wanted });
}

/** RESOURCE_EXHAUSTED beyond what a document may have, FAILED_PRECONDITION for another size than said. */
function assertSize({ digest, size }: Descriptor, bytes: number): void {
  if (bytes > maxDocumentBytes || size > maxDocumentBytes) {
    throw fault(
      "RESOURCE_EXHAUSTED",
      `document "${digest}" has ${Math.max(bytes, size)} bytes, more than ${maxDocumentBytes}`,
    );
  }
  if (bytes !== size) {
    throw fault("FAILED_PRECONDITION", `document "${digest}" has ${bytes} bytes, not ${size}`);
  }
}
