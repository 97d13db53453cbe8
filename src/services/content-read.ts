// SPDX-License-Identifier: Apache-2.0
import { open } from "node:fs/promises";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, fault } from "../base/errors.ts";
import type { ContentInfo, ContentStore } from "../content/ports.ts";
import type { ContentReadContentResponseInit } from "../gen/content.gen.ts";

/** Bytes in one message: below the 4 MiB that gRPC clients take by default. */
const chunkBytes = 1024 * 1024;

/**
 * Read: the bytes from `offset`, `size` of them or all that follow for 0. A `size` beyond the end is
 * no error: a client reads into a buffer before it knows the blob's size. OUT_OF_RANGE beyond the end.
 */
export async function* readContent(
  content: ContentStore,
  { digest, sizeBytes }: ContentInfo,
  { offset, size }: { readonly offset: bigint; readonly size: bigint },
  { signal }: Cancellable,
): AsyncGenerator<ContentReadContentResponseInit, void, undefined> {
  const start = offset < 0n ? 0n : offset;
  if (start > sizeBytes) {
    throw fault(
      "OUT_OF_RANGE",
      `cannot read content "${digest}" from ${start}: it has ${sizeBytes} bytes`,
    );
  }
  const end = size <= 0n || start + size > sizeBytes ? sizeBytes : start + size;
  await using file = await open(content.pathOf(digest), "r").catch((cause: unknown) => {
    if (errnoOf(cause) !== "ENOENT") throw cause;
    throw fault("NOT_FOUND", `content "${digest}" not found`, { cause });
  });
  for (let at = Number(start); at < Number(end); ) {
    signal.throwIfAborted();
    const length = Math.min(chunkBytes, Number(end) - at);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, at);
    if (bytesRead === 0) throw fault("DATA_LOSS", `content "${digest}" ends at ${at}`);
    yield { offset: BigInt(at), data: buffer.subarray(0, bytesRead) };
    at += bytesRead;
  }
}
