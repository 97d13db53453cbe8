// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../../../base/errors.ts";
import type { ContentWriteContentRequestInit } from "../../../gen/content.gen.ts";
import type { ImageStore } from "./image-record.ts";

export interface BlobToCopy {
  readonly digest: string;
  readonly size: number;
  /** That it gets. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface BlobCourse {
  readonly from: ImageStore;
  /** Under a lease. */
  readonly to: ImageStore;
  readonly onBytes: (done: number, state: "downloading" | "exists" | "done") => void;
}

/**
 * Copies a blob from one daemon's content store to another's, which proves its digest. One that was interrupted goes on
 * where it stood. False when it was there already; the lease holds it then, too.
 */
export async function copyBlob(course: BlobCourse, blob: BlobToCopy): Promise<boolean> {
  const { to, onBytes } = course;
  try {
    await write(course, blob);
    onBytes(blob.size, "done");
    return true;
  } catch (error) {
    if (!isFault(error, "ALREADY_EXISTS")) throw error;
  }
  const paths = Object.keys(blob.labels).map((name) => `labels.${name}`);
  if (paths.length > 0) {
    const info = { digest: blob.digest, labels: blob.labels };
    const content = to.client("containerd.services.content.v1.Content");
    await content.Update({ info, updateMask: { paths } }, to.scoped);
  }
  onBytes(blob.size, "exists");
  return false;
}

async function write(course: BlobCourse, blob: BlobToCopy): Promise<void> {
  const { to } = course;
  const content = to.client("containerd.services.content.v1.Content");
  const { promise: opened, resolve: open, reject } = Promise.withResolvers<number>();
  opened.catch(() => {}); // the answers fail with the same
  let isCommitted = false;
  try {
    for await (const { action, offset } of content.Write(
      requests(course, blob, opened),
      to.scoped,
    )) {
      open(Number(offset));
      isCommitted ||= action === "COMMIT";
    }
  } catch (error) {
    reject(error);
    throw error;
  }
  reject(fault("UNKNOWN", "the daemon ended the answer"));
  if (!isCommitted) throw fault("UNKNOWN", `the daemon has not stored blob ${blob.digest}`);
}

/** What is sent: first what is to be written, then its bytes from where the other side stands. */
async function* requests(
  { from, onBytes }: BlobCourse,
  { digest, size, labels }: BlobToCopy,
  opened: Promise<number>,
): AsyncGenerator<ContentWriteContentRequestInit, void, undefined> {
  const ref = `copy-${digest}`;
  yield { action: "STAT", ref, total: size, expected: digest };
  let offset = await opened;
  onBytes(offset, "downloading");
  if (offset < size) {
    const source = from.client("containerd.services.content.v1.Content");
    for await (const { data } of source.Read({ digest, offset }, from.scoped)) {
      if (data.length === 0) continue;
      yield { action: "WRITE", offset, data };
      offset += data.length;
      onBytes(offset, "downloading");
    }
  }
  yield { action: "COMMIT", offset, total: size, expected: digest, labels };
}
