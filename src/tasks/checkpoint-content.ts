// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from "node:fs";
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { unpackArchive } from "../checkpoint/checkpoint-archive.ts";
import { packArchive } from "../checkpoint/pack-archive.ts";
import { parseDigest } from "../content/digest.ts";
import type { ContentStore } from "../content/ports.ts";
import { writeOnce } from "../content/write-once.ts";
import type { TypesDescriptor, TypesDescriptorInit } from "../gen/types.gen.ts";
import { holdForCaller } from "../metadata/caller-lease.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext } from "../rpc/service.ts";
import type { TasksParts } from "./parts.ts";

/** A blob's way into the content store. */
type Stores = Pick<TasksParts, "content" | "leases">;

/** containerd's media types of a CRIU image, a tar, and of the container's spec beside it. */
export const checkpointMediaType = "application/vnd.containerd.container.criu.checkpoint.criu.tar";
export const checkpointSpecMediaType =
  "application/vnd.containerd.container.checkpoint.config.v1+proto";

/** The folder of the CRIU image that a task is restored from. It stays as long as the task. */
export function restoreFolder(
  { checkpointDir }: Pick<TasksParts, "checkpointDir">,
  namespace: string,
  id: string,
): string {
  return path.join(checkpointDir, "restore", namespace, id);
}

/** Moves the folder aside, and removes it in the background; the next start removes what is left. */
export async function removeRestoreFolder(
  needs: Pick<TasksParts, "checkpointDir" | "remover">,
  namespace: string,
  id: string,
): Promise<void> {
  await needs.remover.remove(restoreFolder(needs, namespace, id), needs.checkpointDir);
}

export function requireContent({ content }: Pick<TasksParts, "content">): ContentStore {
  if (content) return content;
  throw fault("FAILED_PRECONDITION", "there is no content store for checkpoints");
}

/** Writes a folder of CRIU images as one blob. It is packed beside the folder first, by a process of its own. */
export async function storeCheckpoint(
  needs: Stores & Pick<TasksParts, "remover">,
  ref: string,
  folder: string,
  call: CallContext,
): Promise<TypesDescriptorInit> {
  const file = `${folder}.tar`;
  try {
    await packArchive(folder, file, call);
    const chunks = createReadStream(file);
    return await store(needs, { ref, mediaType: checkpointMediaType, chunks }, call);
  } finally {
    await needs.remover.remove(file);
  }
}

/** Writes the container's spec, the bytes of its Any. */
export async function storeSpec(
  needs: Stores,
  ref: string,
  spec: Uint8Array,
  call: CallContext,
): Promise<TypesDescriptorInit> {
  return store(needs, { ref, mediaType: checkpointSpecMediaType, chunks: [spec] }, call);
}

/** Makes `folder` from a checkpoint's blob. INVALID_ARGUMENT when it is no such blob. */
export async function unpackCheckpoint(
  needs: Pick<TasksParts, "content">,
  namespace: string,
  { descriptor, folder }: { readonly descriptor: TypesDescriptor; readonly folder: string },
  call: Cancellable,
): Promise<void> {
  if (descriptor.mediaType !== checkpointMediaType) {
    throw fault(
      "INVALID_ARGUMENT",
      `cannot restore from "${descriptor.digest}": media type is "${descriptor.mediaType}"`,
    );
  }
  const content = requireContent(needs);
  const digest = parseDigest(descriptor.digest);
  if (!content.info(namespace, digest)) {
    throw fault("NOT_FOUND", `checkpoint "${digest}" not found`);
  }
  await unpackArchive(content.pathOf(digest), folder, call);
}

interface NewBlob {
  readonly ref: string;
  readonly mediaType: string;
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

async function store(
  needs: Stores,
  { ref, mediaType, chunks }: NewBlob,
  call: CallContext,
): Promise<TypesDescriptorInit> {
  const namespace = requiredNamespace(call);
  return writeOnce(requireContent(needs), { namespace, ref }, async (writer) => {
    for await (const chunk of chunks) await writer.write(chunk, call);
    if (needs.leases) {
      const resource = { type: "content", id: await writer.digest() };
      await holdForCaller(needs.leases, namespace, call, resource);
    }
    const size = writer.offsetBytes;
    return { mediaType, digest: await writer.commit({}), size };
  });
}
