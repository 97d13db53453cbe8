// SPDX-License-Identifier: Apache-2.0
import { buffer } from "node:stream/consumers";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { unlessAborted } from "../../base/waits.ts";
import { algorithmOf, hexOf } from "../../content/digest.ts";
import type { ContentStore, Digest } from "../../content/ports.ts";
import { writeOnce } from "../../content/write-once.ts";
import { type ImageSource, type Labels, maxDocumentBytes, owned } from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { magicBytes } from "../unpack/decompress.ts";
import type { Archive } from "./archive.ts";

/** The blobs of an OCI layout. */
export class ArchiveSource implements ImageSource {
  readonly #from: StoreTarget;

  constructor(from: StoreTarget) {
    this.#from = from;
  }

  async document({ digest }: Descriptor, call: Cancellable): Promise<Buffer> {
    return readDocument(this.#from.archive, blobName(digest), call);
  }

  async fetch({ digest, size }: Descriptor, call: Cancellable): Promise<void> {
    const { content, namespace } = this.#from;
    if (content.info(namespace, digest)) return;
    const stored = await storeFile(this.#from, blobName(digest), call, { digest, size });
    if (stored.digest !== digest) throw fault("INTERNAL", `blob "${digest}" was stored otherwise`);
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
  { signal }: Cancellable,
): Promise<Buffer> {
  const file = await archive.open(name);
  if (!file) throw fault("NOT_FOUND", `archive has no "${name}"`);
  if (file.sizeBytes > maxDocumentBytes) {
    throw fault(
      "RESOURCE_EXHAUSTED",
      `"${name}" of the archive has ${file.sizeBytes} bytes, more than ${maxDocumentBytes}`,
    );
  }
  return unlessAborted(buffer(file.stream()), signal);
}

export interface StoreTarget {
  readonly archive: Archive;
  readonly content: ContentStore;
  readonly namespace: string;
  /** Called before a blob is looked for or becomes visible: collections leave it until the load has ended. */
  readonly keep: (blob: Digest) => Promise<void>;
}

/** Copies a file of an archive into the content store. Answers its digest, its size and how it starts. */
export async function storeFile(
  { archive, content, namespace, keep }: StoreTarget,
  name: string,
  call: Cancellable,
  expected?: { readonly digest: Digest; readonly size: number },
): Promise<{ readonly digest: Digest; readonly size: number; readonly start: Buffer }> {
  const file = await archive.open(name);
  if (!file) throw fault("NOT_FOUND", `archive has no "${name}"`);
  if (expected && expected.size !== file.sizeBytes) {
    throw fault(
      "INVALID_ARGUMENT",
      `"${name}" of the archive has ${file.sizeBytes} bytes, not ${expected.size}: it is cut off or damaged`,
    );
  }
  const ref = `import-${crypto.randomUUID()}`;
  let start: Buffer = Buffer.alloc(0);
  return writeOnce(content, { namespace, ref }, async (writer) => {
    for await (const chunk of file.stream()) {
      if (start.length < magicBytes) {
        start = Buffer.concat([start, chunk as Buffer]).subarray(0, magicBytes);
      }
      await writer.write(chunk as Buffer, call);
    }
    await keep(await writer.digest(expected && algorithmOf(expected.digest)));
    const digest = await writer.commit({
      sizeBytes: BigInt(expected?.size ?? file.sizeBytes),
      labels: owned,
      ...(expected && { expected: expected.digest }),
    });
    return { digest, size: file.sizeBytes, start };
  });
}

function blobName(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}
