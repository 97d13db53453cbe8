// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, RuntimeFault } from "../../base/errors.ts";
import { retry } from "../../base/retry.ts";
import { type OneTimer, startTimer } from "../../base/timers.ts";
import type { ContentStore, ContentWriter } from "../../content/ports.ts";
import { owned } from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import type { RegistryClient } from "./registry-client.ts";

export interface DownloadOptions {
  readonly client: Pick<RegistryClient, "blob">;
  readonly content: ContentStore;
  readonly namespace: string;
  /** No byte for this long ends it; 0 for never. */
  readonly progressTimeoutMs: number;
}

const attempts = 5;
const retryDelayMs = 250;

/**
 * Brings a blob into the content store, checked for size and digest. A broken connection goes on
 * where it broke; what an earlier pull left of the blob is used too.
 * Errors: those of the client, DEADLINE_EXCEEDED (no progress), FAILED_PRECONDITION (wrong bytes).
 */
export async function downloadBlob(
  options: DownloadOptions,
  descriptor: Descriptor,
  { signal }: Cancellable,
): Promise<void> {
  const { content, namespace } = options;
  if (content.info(namespace, descriptor.digest)) return;
  await retry(() => attemptDownload(options, descriptor, { signal }), {
    attempts,
    delayMs: retryDelayMs,
    signal,
    isRetryable: (error) => isFault(error, "UNAVAILABLE", "DATA_LOSS"),
  });
}

async function attemptDownload(
  options: DownloadOptions,
  descriptor: Descriptor,
  call: Cancellable,
): Promise<void> {
  const { content, namespace } = options;
  const { digest, size } = descriptor;
  const ref = `layer-${digest}`;
  let resumed = false;
  try {
    await using writer = await content.writer(namespace, ref, {
      expected: digest,
      sizeBytes: BigInt(size),
    });
    if (writer.offsetBytes > BigInt(size)) await writer.truncate(0n);
    resumed = writer.offsetBytes > 0n;
    if (writer.offsetBytes < BigInt(size)) await receive(options, descriptor, writer, call);
    await writer.commit({ expected: digest, sizeBytes: BigInt(size), labels: owned });
  } catch (error) {
    if (isFault(error, "ALREADY_EXISTS")) return;
    if (!isFault(error, "FAILED_PRECONDITION")) throw error;
    // Wrong bytes: not to be gone on with. Old bytes may be to blame, so they get one more chance.
    await content.abort(namespace, ref);
    if (!resumed) throw error;
    throw fault("DATA_LOSS", `earlier bytes of "${digest}" were damaged`, { cause: error });
  }
}

async function receive(
  { client, progressTimeoutMs }: DownloadOptions,
  { digest, size }: Descriptor,
  writer: ContentWriter,
  call: Cancellable,
): Promise<void> {
  using progress = new Progress(progressTimeoutMs, `download of "${digest}"`);
  const signal = AbortSignal.any([call.signal, progress.signal]);
  const { answer, offset } = await client.blob(digest, Number(writer.offsetBytes), { signal });
  if (BigInt(offset) !== writer.offsetBytes) {
    if (offset !== 0) {
      answer.body.destroy();
      throw fault("UNAVAILABLE", `the registry answered another part of "${digest}"`);
    }
    await writer.truncate(0n);
  }
  try {
    for await (const chunk of answer.body) {
      progress.made();
      await writer.write(chunk as Buffer, { signal });
      if (writer.offsetBytes > BigInt(size)) {
        throw fault("FAILED_PRECONDITION", `blob "${digest}" is longer than ${size} bytes`);
      }
    }
  } catch (error) {
    answer.body.destroy();
    if (signal.aborted) throw signal.reason;
    if (error instanceof RuntimeFault) throw error;
    throw fault("UNAVAILABLE", `download of "${digest}" broke off`, { cause: error });
  }
  if (writer.offsetBytes < BigInt(size)) {
    throw fault("UNAVAILABLE", `download of "${digest}" ended early`);
  }
}

/** Fires its signal when nothing was made for too long. */
class Progress implements Disposable {
  readonly #abort = new AbortController();
  readonly #timer: OneTimer | undefined;

  constructor(timeoutMs: number, what: string) {
    if (timeoutMs <= 0) return;
    this.#timer = startTimer(() => {
      const seconds = timeoutMs / 1000;
      this.#abort.abort(fault("DEADLINE_EXCEEDED", `${what} made no progress for ${seconds} s`));
    }, timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  made(): void {
    this.#timer?.refresh();
  }

  [Symbol.dispose](): void {
    this.#timer?.stop();
  }
}
