// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, RuntimeFault } from "../../base/errors.ts";
import { freeBytes } from "../../base/free-bytes.ts";
import { onAbort } from "../../base/on-abort.ts";
import { retry } from "../../base/retry.ts";
import type { ContentStore, ContentWriter, Digest } from "../../content/ports.ts";
import type { ImageSource } from "../image-source.ts";
import type { Descriptor } from "../manifest/documents.ts";
import type { RegistryHost } from "./hosts.ts";
import { registryLimits, within } from "./limits.ts";
import { OtherWriters } from "./other-writer.ts";
import type { OpenBlob, RegistryClient } from "./registry-client.ts";
import { isTinyPieces } from "./tiny-pieces.ts";
import { TransferWatch } from "./transfer-watch.ts";

export interface DownloadOptions {
  readonly client: Pick<RegistryClient, "blob" | "sources">;
  readonly content: ContentStore;
  readonly namespace: string;
  /** A transfer that brings too little for this long is ended; 0 for never. */
  readonly progressTimeoutMs: number;
  readonly labels: ImageSource["labels"];
  /** Called for each piece that arrives. */
  readonly onBytes?: (bytes: number) => void;
}

const attempts = 5;
const retryDelayMs = 250;

/**
 * Brings a blob into the content store, checked for size and digest; false when somebody else did. After a broken
 * connection it goes on from there, after a host that stalls or sends wrong bytes it goes on with the next, and it
 * uses what an earlier pull left of the blob. While another writer brings the same blob it waits, up to a limit, as
 * long as that one makes progress. Errors: those of the client, DEADLINE_EXCEEDED (no progress), FAILED_PRECONDITION
 * (wrong bytes).
 */
export async function downloadBlob(
  options: DownloadOptions,
  descriptor: Descriptor,
  { signal }: Cancellable,
): Promise<boolean> {
  const avoided = new Set<RegistryHost>();
  return retry(() => attemptDownload(options, descriptor, avoided, { signal }), {
    attempts,
    delayMs: retryDelayMs,
    signal,
    isRetryable: (error) =>
      isFault(error, "UNAVAILABLE", "DATA_LOSS") ||
      (isFault(error) && error.details?.["hasOtherHost"] === true),
  });
}

async function attemptDownload(
  options: DownloadOptions,
  descriptor: Descriptor,
  avoided: Set<RegistryHost>,
  call: Cancellable,
): Promise<boolean> {
  const { content, namespace, labels } = options;
  const { digest, size } = descriptor;
  const found = await openWriter(options, descriptor, call);
  if (found === undefined) return false;
  const { ref, isShared } = found;
  let resumed = false;
  let host: RegistryHost | undefined;
  try {
    await using writer = found.writer;
    if (writer.offsetBytes > BigInt(size)) await writer.truncate(0n);
    resumed = writer.offsetBytes > 0n;
    if (writer.offsetBytes < BigInt(size)) {
      host = await receive(options, descriptor, { avoided, writer }, call);
    }
    await writer.commit({
      expected: digest,
      sizeBytes: BigInt(size),
      labels: labels(content.info(namespace, digest)?.labels),
    });
    return true;
  } catch (error) {
    const isWrong = isFault(error, "FAILED_PRECONDITION");
    // Wrong bytes must not be resumed. Where some of them were here before, these may be to blame: one more attempt.
    if (isWrong || !isShared) await forget(content, namespace, ref);
    if (!isWrong) throw error;
    if (resumed) {
      throw fault("DATA_LOSS", `earlier bytes of "${digest}" were damaged`, { cause: error });
    }
    throw host ? orNextHost(options, avoided, host, error) : error;
  }
}

interface OwnWriter {
  readonly writer: ContentWriter;
  readonly ref: string;
  /** Whether later downloads of the blob resume what this one leaves. */
  readonly isShared: boolean;
}

/** A writer for the blob; undefined once the blob is there. Does not wait for a writer that makes no progress. */
async function openWriter(
  { content, namespace }: DownloadOptions,
  { digest, size }: Descriptor,
  call: Cancellable,
): Promise<OwnWriter | undefined> {
  // containerd's clients use this name too.
  const shared = `layer-${digest}`;
  const options = { expected: digest, sizeBytes: BigInt(size) };
  const others = new OtherWriters();
  for (let ref = shared; ; ) {
    try {
      return {
        writer: await content.writer(namespace, ref, options),
        ref,
        isShared: ref === shared,
      };
    } catch (error) {
      if (isFault(error, "ALREADY_EXISTS")) return undefined;
      if (!isFault(error, "UNAVAILABLE")) throw error;
    }
    const isOver = await others.wait(content, namespace, ref, call);
    if (!isOver) ref = `${shared}-${crypto.randomUUID()}`;
  }
}

/** Appends what the registry sends until the blob is complete. Answers the host that sent it. */
async function receive(
  options: DownloadOptions,
  descriptor: Descriptor,
  { avoided, writer }: { readonly avoided: Set<RegistryHost>; readonly writer: ContentWriter },
  call: Cancellable,
): Promise<RegistryHost> {
  const { client, progressTimeoutMs } = options;
  const { digest } = descriptor;
  const at = Number(writer.offsetBytes);
  const blob = await client.blob(digest, at, avoided, call);
  const { answer, host } = blob;
  const others = client.sources - avoided.size - 1;
  const windowMs = stallMs(others, progressTimeoutMs);
  using watch = new TransferWatch({ what: `download of "${digest}"`, windowMs });
  const received = (bytes: number): void => {
    watch.received(bytes);
    options.onBytes?.(bytes);
  };
  const cut = (): void => void answer.body.destroy();
  using _reaction = onAbort(watch.signal, cut);
  const signal = AbortSignal.any([call.signal, watch.signal]);
  try {
    await append(blob, descriptor, writer, { received, signal });
    return host;
  } catch (error) {
    cut();
    call.signal.throwIfAborted();
    const isStalled = watch.signal.aborted;
    if (!isStalled && !isTinyPieces(error) && !isFault(error, "FAILED_PRECONDITION")) throw error;
    throw orNextHost(options, avoided, host, isStalled ? watch.signal.reason : error);
  }
}

/** How long a transfer may stand still: a host that others can stand in for has no more time than for an answer. */
export function stallMs(otherHosts: number, progressTimeoutMs: number): number {
  return otherHosts > 0 ? within(registryLimits.answerMs, progressTimeoutMs) : progressTimeoutMs;
}

async function append(
  { answer, offset }: OpenBlob,
  { digest, size }: Descriptor,
  writer: ContentWriter,
  { received, signal }: { readonly received: (bytes: number) => void } & Cancellable,
): Promise<void> {
  if (BigInt(offset) !== writer.offsetBytes) {
    if (offset !== 0) {
      throw fault("UNAVAILABLE", `the registry answered another part of "${digest}"`);
    }
    await writer.truncate(0n);
  }
  for await (const bytes of chunksOf(answer.body, digest)) {
    signal.throwIfAborted();
    received(bytes.length);
    if (writer.offsetBytes + BigInt(bytes.length) > BigInt(size)) {
      throw fault("FAILED_PRECONDITION", `blob "${digest}" is longer than ${size} bytes`);
    }
    await writer.write(bytes, { signal });
  }
  if (writer.offsetBytes < BigInt(size)) {
    throw fault("UNAVAILABLE", `download of "${digest}" ended early`);
  }
}

/** The bytes that arrive, each piece good until the next is asked for. UNAVAILABLE when the connection breaks; a full disk of ours is another error. */
async function* chunksOf(
  body: OpenBlob["answer"]["body"],
  digest: Digest,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of body) {
      yield chunk as Buffer;
      freeBytes(chunk as Buffer);
    }
  } catch (error) {
    if (isTinyPieces(error)) throw error;
    throw fault("UNAVAILABLE", `download of "${digest}" broke off`, { cause: error });
  }
}

/** The error of a host that is not to be asked again: another attempt is worth it where there is another host. */
function orNextHost(
  { client }: DownloadOptions,
  avoided: Set<RegistryHost>,
  host: RegistryHost,
  error: unknown,
): unknown {
  avoided.add(host);
  if (avoided.size >= client.sources || !(error instanceof RuntimeFault)) return error;
  return fault(error.code, error.message, { cause: error, details: { hasOtherHost: true } });
}

async function forget(content: ContentStore, namespace: string, ref: string): Promise<void> {
  try {
    await content.abort(namespace, ref);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND", "UNAVAILABLE")) throw error;
  }
}
