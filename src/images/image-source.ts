// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault, isFault, type RuntimeFault } from "../base/errors.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { algorithmOf, digestOf } from "../content/digest.ts";
import type { ContentInfo, ContentStore, Digest } from "../content/ports.ts";
import { writeOnce } from "../content/write-once.ts";
import type { Descriptor } from "./manifest/documents.ts";
import type { TransferStep } from "./ports.ts";

/** Where an image's blobs come from: a registry, or an archive. */
export interface ImageSource {
  /** A small document's bytes, unchecked. */
  document(descriptor: Descriptor, call: Cancellable): Promise<Buffer>;
  /**
   * Brings a blob into the content store, verified. A blob that is there already counts only if this source gives it
   * too: having somebody else's image on the node gives no right to its layers.
   */
  fetch(descriptor: Descriptor, call: Cancellable, begin?: BeginEarly): Promise<void>;
  /** Whether this source is known to give a blob, by what the blob, or the layer made from it, is labelled with. */
  gives(blob: Pick<ContentInfo, "digest" | "labels">): boolean;
  /**
   * Asks for the right to a blob without fetching it; throws the source's refusal. False where the source's word is not
   * enough: by its label the blob never came from there, and only who gives all its bytes can say who may have them.
   */
  vouchesFor(blob: Pick<ContentInfo, "digest" | "labels">, call: Cancellable): Promise<boolean>;
  /** What a blob of this source is labelled with, beside the labels that it has. */
  labels(known: Labels | undefined): Labels;
  /** Hears how far each part of the image is. */
  onStep?(step: TransferStep): void;
}

/**
 * Lets somebody read a blob's file from its start while it is still being written; the digest of all of it, or
 * undefined when they give up. Undefined when they cannot begin now.
 */
export type BeginEarly = (file: string) => Promise<Digest | undefined> | undefined;

export type Labels = Readonly<Record<string, string>>;

/** Marks what was brought in for images. */
export const ownedLabel = "io.berth.image";
export const owned: Labels = { [ownedLabel]: "true" };

/** containerd's label of a layer's blob: the digest of its plain archive, set when that is known. */
export const plainDigestLabel = "containerd.io/uncompressed";

/** The longest manifest, index or config that is read: they are read into memory. */
export const maxDocumentBytes = ourShares().documentBytes;

/** The content store, and whose view of it. */
export interface NamespaceContent {
  readonly content: ContentStore;
  readonly namespace: string;
}

/** Where documents go, and who looks after one that is still being stored; without that they are waited for. */
export interface DocumentStore extends NamespaceContent {
  readonly beside?: { add(work: Promise<void>): void } | undefined;
}

/**
 * A document from the content store, or from the source into it. RESOURCE_EXHAUSTED for one that is too
 * long, FAILED_PRECONDITION for one that is not what its descriptor says.
 */
export async function obtainDocument(
  store: DocumentStore,
  source: ImageSource,
  descriptor: Descriptor,
  call: Cancellable,
): Promise<Buffer> {
  const { content, namespace, beside } = store;
  const { digest } = descriptor;
  const known = content.info(namespace, digest);
  const isGiven = known !== undefined && source.gives(known);
  assertSize(descriptor, isGiven ? Number(known.sizeBytes) : descriptor.size);
  let damage: RuntimeFault | undefined;
  if (isGiven) {
    try {
      return await content.read(digest, call);
    } catch (error) {
      if (!isFault(error, "DATA_LOSS")) throw error;
      damage = error; // it has been dropped; the source may give it again
    }
  }
  const keep = async (bytes: Buffer): Promise<void> => {
    const to = { content, namespace, digest };
    const stored = storeBytes(to, bytes, call, (labels) => source.labels(labels));
    if (beside) beside.add(stored);
    else await stored;
  };
  const inline = inlineBytes(descriptor);
  if (inline) {
    await keep(inline);
    return inline;
  }
  const bytes = await source.document(descriptor, call).catch((error: unknown) => {
    throw damage && isFault(error, "NOT_FOUND") ? damage : error;
  });
  assertSize(descriptor, bytes.length);
  if (digestOf(bytes, algorithmOf(digest)) !== digest) {
    throw fault("FAILED_PRECONDITION", `content "${digest}" arrived with another digest`);
  }
  await keep(bytes);
  return bytes;
}

/** What a descriptor has of its blob in itself, where that is all of it: as containerd, such a blob is asked of nobody. */
export function inlineBytes({ data, digest, size }: Descriptor): Buffer | undefined {
  if (!data) return undefined;
  const bytes = Buffer.from(data, "base64");
  const isWhole = bytes.length === size && digestOf(bytes, algorithmOf(digest)) === digest;
  return isWhole ? bytes : undefined;
}

/** Puts bytes from memory, of a digest other than that of sha256 where one is given, into the content store, or labels the blob that is there. */
export async function storeBytes(
  store: NamespaceContent & { readonly digest?: Digest },
  bytes: Buffer,
  call: Cancellable,
  labelsFor: ImageSource["labels"] = () => owned,
): Promise<void> {
  const { content, namespace, digest = digestOf(bytes) } = store;
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

/** Whether nothing has to be written for these labels; "" stands for one that is not there. */
export function hasLabels(known: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([name, value]) => (known[name] ?? "") === value);
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
  if (hasLabels(known, wanted)) return;
  await content.setLabels(namespace, digest, { ...known, ...wanted });
}

/**
 * RESOURCE_EXHAUSTED for a document that is too long, FAILED_PRECONDITION for one of another size than its descriptor
 * says.
 */
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
