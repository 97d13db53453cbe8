// SPDX-License-Identifier: Apache-2.0
import { statfs } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { algorithmOf } from "../../content/digest.ts";
import type { ContentStore, Digest } from "../../content/ports.ts";
import { writeOnce } from "../../content/write-once.ts";
import { owned } from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import type { TransferStep } from "../ports.ts";
import { magicBytes } from "../unpack/decompress.ts";
import type { Archive, ArchivedFile, Visit } from "./archive.ts";

export interface StoreTarget {
  readonly archive: Archive;
  readonly content: ContentStore;
  readonly namespace: string;
  /** Called before a blob is looked for or becomes visible: collections leave it until the load has ended. */
  readonly keep: (blob: Digest) => Promise<void>;
  /** Hears how much of a layer has been copied. */
  readonly onStep?: ((step: TransferStep) => void) | undefined;
}

export interface NamedFile {
  readonly name: string;
  readonly file: ArchivedFile;
  /** What it is told as where nothing else is expected of it. */
  readonly likely?: Digest | undefined;
}

/** NOT_FOUND when it is not there. */
export async function existing(
  { archive }: Pick<StoreTarget, "archive">,
  name: string,
  call: Cancellable,
): Promise<NamedFile> {
  const file = await archive.open(name, call);
  if (!file) throw fault("NOT_FOUND", `archive has no "${name}"`);
  return { name, file };
}

/** What a file of an archive was stored as, and how it starts. */
export interface StoredFile {
  readonly digest: Digest;
  readonly size: number;
  readonly start: Buffer;
}

/**
 * Copies files of an archive into the content store, by their names. `likely`: what they are told as until their digests
 * are known. NOT_FOUND where one is not there.
 */
export async function storeFiles(
  target: StoreTarget,
  names: readonly string[],
  likely: ReadonlyMap<string, Digest>,
  call: Cancellable,
): Promise<ReadonlyMap<string, StoredFile>> {
  const stored = new Map<string, StoredFile>();
  const take: Visit = async (its, file) => {
    const [name = ""] = its;
    const one = await storeFile(target, { name, file, likely: likely.get(name) }, call);
    for (const name of its) stored.set(name, one);
  };
  await target.archive.visit(names, take, call);
  const lost = names.find((name) => !stored.has(name));
  if (lost !== undefined) throw fault("NOT_FOUND", `archive has no "${lost}"`);
  return stored;
}

/** Copies a file of an archive into the content store. */
export async function storeFile(
  { archive, content, namespace, keep, onStep }: StoreTarget,
  { name, file, likely }: NamedFile,
  call: Cancellable,
  expected?: Pick<Descriptor, "digest" | "size">,
): Promise<StoredFile> {
  if (expected && expected.size !== file.sizeBytes) {
    throw fault(
      "INVALID_ARGUMENT",
      `"${name}" of the archive has ${file.sizeBytes} bytes, not ${expected.size}: it is cut off or damaged`,
    );
  }
  if (archive.isInflated) await checkRoom(content.root, name, file.sizeBytes);
  const ref = `import-${crypto.randomUUID()}`;
  let start: Buffer = Buffer.alloc(0);
  const told = expected?.digest ?? likely;
  let copied = 0;
  return writeOnce(content, { namespace, ref }, async (writer) => {
    for await (const chunk of file.stream()) {
      if (start.length < magicBytes) {
        start = Buffer.concat([start, chunk as Buffer]).subarray(0, magicBytes);
      }
      await writer.write(chunk as Buffer, call);
      copied += (chunk as Buffer).length;
      if (told !== undefined) onStep?.(loading(told, copied, file.sizeBytes));
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

function loading(digest: Digest, doneBytes: number, totalBytes: number): TransferStep {
  return { digest, kind: "layer", state: "loading", doneBytes, totalBytes };
}

/** What a file that may be inflated from a few bytes must leave free of its file system. */
const keptFree = 0.1;

async function checkRoom(folder: string, name: string, sizeBytes: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder);
  if (sizeBytes <= (bavail - blocks * keptFree) * bsize) return;
  throw fault(
    "RESOURCE_EXHAUSTED",
    `the disk is too full for "${name}" of the archive, which inflates to ${sizeBytes} bytes`,
  );
}
