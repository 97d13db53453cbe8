// SPDX-License-Identifier: Apache-2.0
import type { Readable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault, RuntimeFault } from "../../base/errors.ts";
import type { Digest } from "../../content/ports.ts";
import type { HttpAnswer } from "./http-answer.ts";
import { passing, patiently } from "./patience.ts";
import type { PushAsk, PushClient } from "./push-client.ts";
import { isRefusal } from "./refusal.ts";
import { registryFault } from "./registry-fault.ts";
import { TransferWatch } from "./transfer-watch.ts";
import { completionUrl, receivedOf, type UploadSession } from "./upload-session.ts";

export interface UploadedBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Bytes from `start` on, so many; undefined for a blob that is not here. */
  readonly open?: (start: number, bytes: number) => Readable;
  /** Repositories of the same registry that have it, the likeliest first. */
  readonly sources: readonly string[];
}

export interface UploadOptions {
  readonly client: PushClient;
  /** How much of the blob the registry has got; less than before where it begins anew. */
  readonly onSent?: (bytes: number) => void;
  /** Called for each piece that is sent. */
  readonly onBytes?: (bytes: number) => void;
  /** Called when there is something to send. */
  readonly onBegin?: () => void;
}

/** What became of a blob: it was there, another repository's was taken, or it was sent. */
export type Uploaded = "exists" | "mounted" | "done";

/** How many other repositories are asked for. */
const mostSources = 3;

/**
 * Brings a blob into the repository, unless it is there or another repository of the registry gives it. What is cut off
 * goes on where the registry says that it was, and else from its start. Where a server refuses long requests, or keeps
 * cutting them off, it goes in pieces. Errors: those of the client; FAILED_PRECONDITION for a blob that is neither there
 * nor here, DATA_LOSS for one that cannot be read.
 */
export async function uploadBlob(
  blob: UploadedBlob,
  options: UploadOptions,
  call: Cancellable,
): Promise<Uploaded> {
  const { client, onBegin } = options;
  if (await client.hasBlob(blob.digest, call)) return "exists";
  const upload = new BlobUpload(blob, options);
  for (const from of blob.sources.slice(0, mostSources)) {
    if (await upload.mount(from, call)) return "mounted";
    if (upload.isBegun && blob.open) break;
  }
  if (!blob.open) {
    throw fault(
      "FAILED_PRECONDITION",
      `blob "${blob.digest}" is not on this node, and the registry has it not either: pull the image again`,
    );
  }
  onBegin?.();
  await patiently((progress) => upload.attempts(progress, call), {
    patience: client.patience,
    ...call,
  });
  return "done";
}

const firstPieceBytes = 16 * 1024 * 1024;
const leastPieceBytes = 256 * 1024;
/** How often a whole blob may be cut off before it goes in pieces. */
const patientCuts = 2;
/** How often a registry may keep a part of a piece. */
const mostShortAnswers = 64;
/** What counts as progress: at least this, and so big a part of the blob. */
const stepBytes = 64 * 1024;
const steps = 256;

class BlobUpload {
  readonly #blob: UploadedBlob;
  readonly #options: UploadOptions;
  #session: UploadSession | undefined;
  #offset = 0;
  #furthest = 0;
  /** undefined while the blob goes in one. */
  #pieceBytes: number | undefined;
  #cuts = 0;
  #shortAnswers = 0;
  #isRetry = false;

  constructor(blob: UploadedBlob, options: UploadOptions) {
    this.#blob = blob;
    this.#options = options;
  }

  get isBegun(): boolean {
    return this.#session !== undefined;
  }

  /** Whether the registry took the blob of another of its repositories. One that does not has begun an upload. */
  async mount(from: string, call: Cancellable): Promise<boolean> {
    const { client } = this.#options;
    const { digest } = this.#blob;
    try {
      const url = await client.urlOf("blobs/uploads/", call);
      url.searchParams.set("mount", digest);
      url.searchParams.set("from", from);
      const answer = await client.ask({ method: "POST", url, from }, call);
      await answer.discard();
      if (answer.status === 201) return true;
      this.#session = client.session(answer);
    } catch (error) {
      call.signal.throwIfAborted();
      if (!isFault(error)) throw error;
      // Whatever speaks against it: the upload will tell, if it is of that kind.
    }
    return false;
  }

  /** Goes on until the blob is there, or a wait may help. */
  async attempts(progress: () => void, call: Cancellable): Promise<void> {
    for (;;) {
      try {
        await this.#attempt(progress, call);
        return;
      } catch (error) {
        call.signal.throwIfAborted();
        if (!(error instanceof RuntimeFault)) throw error;
        if (await this.#isOver(error, progress, call)) return;
      } finally {
        this.#isRetry = true;
      }
    }
  }

  async #attempt(progress: () => void, call: Cancellable): Promise<void> {
    const { size } = this.#blob;
    if (!this.#session && this.#isRetry && (await this.#isThere(call))) return;
    this.#session ??= await this.#begin(call);
    if (this.#pieceBytes === undefined && this.#offset === 0) {
      await this.#complete(size, call);
      return;
    }
    while (this.#offset < size) {
      await this.#sendPiece(this.#session, call);
      this.#advanced(progress);
    }
    await this.#complete(0, call);
  }

  async #begin(call: Cancellable): Promise<UploadSession> {
    const { client } = this.#options;
    const url = await client.urlOf("blobs/uploads/", call);
    const answer = await client.ask({ method: "POST", url }, call);
    await answer.discard();
    this.#moveTo(0);
    return client.session(answer);
  }

  async #sendPiece(session: UploadSession, call: Cancellable): Promise<void> {
    const { size } = this.#blob;
    const start = this.#offset;
    const wanted = Math.max(this.#pieceBytes ?? size, session.leastBytes);
    const bytes = Math.min(wanted, size - start);
    const headers = {
      "content-type": "application/octet-stream",
      "content-range": `${start}-${start + bytes - 1}`,
    };
    const answer = await this.#send({ method: "PATCH", url: session.url, headers }, bytes, call);
    this.#session = this.#options.client.session(answer, session);
    const received = receivedOf(answer) ?? start + bytes;
    if (received <= start || received > start + bytes) {
      throw registryFault(
        `"${answer.url.host}" says that it has ${received} bytes of "${this.#blob.digest}", of ${start + bytes}`,
        { details: { ...passing(), isLost: true } },
      );
    }
    this.#moveTo(received);
    if (received === start + bytes) return;
    this.#shortAnswers += 1;
    if (this.#shortAnswers <= mostShortAnswers) return;
    throw fault(
      "FAILED_PRECONDITION",
      `"${answer.url.host}" keeps less of "${this.#blob.digest}" than it is sent, time and again`,
    );
  }

  /** Claims the blob, with so many bytes from its start in the same request. */
  async #complete(bytes: number, call: Cancellable): Promise<void> {
    if (!this.#session) return;
    const url = completionUrl(this.#session, this.#blob.digest);
    const headers = { "content-type": "application/octet-stream" };
    await this.#send({ method: "PUT", url, headers }, bytes, call);
    this.#moveTo(this.#blob.size);
  }

  async #send(ask: PushAsk, bytes: number, { signal }: Cancellable): Promise<HttpAnswer> {
    const { client, onSent, onBytes } = this.#options;
    const { digest, open } = this.#blob;
    const start = this.#offset;
    let sent = 0;
    using watch = new TransferWatch({
      what: `upload of "${digest}"`,
      windowMs: client.stallMs,
    });
    const call = { signal: AbortSignal.any([signal, watch.signal]) };
    const body = {
      bytes,
      open: () => {
        if (!open) throw new Error("nothing to send");
        sent = 0;
        return open(start, bytes);
      },
      onBytes: (count: number) => {
        sent += count;
        watch.received(count);
        onBytes?.(count);
        onSent?.(start + sent);
      },
    };
    const sending = bytes > 0 ? { body } : { body: "" };
    const answer = await client.ask({ ...ask, ...sending, answerMs: 0 }, call);
    await answer.discard();
    return answer;
  }

  /** Learns from a failure. True where the blob turns out to be there; what is thrown is passing where a wait may help. */
  async #isOver(error: RuntimeFault, progress: () => void, call: Cancellable): Promise<boolean> {
    const status = isRefusal(error) ? error.details?.["status"] : undefined;
    if (status === 413) {
      const piece = this.#smaller();
      if (piece === undefined) throw error;
      this.#pieceBytes = piece;
      this.#restart();
      return false;
    }
    // The upload is not known any more, or the registry thinks to be elsewhere in it.
    const isLost = error.details?.["isLost"] === true;
    if (this.#session && this.#isRetryOf(status)) {
      this.#restart();
      throw asPassing(error);
    }
    const isStalled = error.code === "DEADLINE_EXCEEDED" && this.#session !== undefined;
    const mayPass = error.details?.["passing"] === true;
    if (!mayPass && !isStalled) throw error;
    const hasMoved = !isLost && (await this.#resume(call)) && this.#advanced(progress);
    if (hasMoved) throw asPassing(error);
    if (status === undefined) this.#cuts += 1;
    if (this.#cuts >= patientCuts) this.#pieceBytes ??= this.#smaller();
    throw isStalled ? error : asPassing(error);
  }

  #isRetryOf(status: unknown): boolean {
    const isGone = status === 404 || status === 410 || status === 416;
    return isGone || ((status === 401 || status === 403) && this.#offset > 0);
  }

  /** Asks how far the upload is. False where it must begin anew. */
  async #resume(call: Cancellable): Promise<boolean> {
    const session = this.#session;
    if (!session) return false;
    try {
      const { client } = this.#options;
      const answer = await client.ask({ method: "GET", url: session.url }, call);
      await answer.discard();
      const received = receivedOf(answer);
      if (received !== undefined && received > 0 && received <= this.#blob.size) {
        this.#session = client.session(answer, session);
        this.#moveTo(received);
        return true;
      }
    } catch (error) {
      call.signal.throwIfAborted();
      if (!isFault(error)) throw error;
    }
    this.#restart();
    return false;
  }

  #restart(): void {
    this.#session = undefined;
    this.#moveTo(0);
  }

  #moveTo(offset: number): void {
    this.#offset = offset;
    this.#options.onSent?.(offset);
  }

  /** The next shorter pieces to try; undefined where there are none. */
  #smaller(): number | undefined {
    const known = this.#pieceBytes ?? this.#blob.size;
    const least = Math.max(leastPieceBytes, this.#session?.leastBytes ?? 0);
    if (known <= least) return undefined;
    return Math.max(least, Math.min(firstPieceBytes, Math.ceil(known / 2)));
  }

  /** Whether the upload is further than ever, by a piece that counts. */
  #advanced(progress: () => void): boolean {
    const step = Math.max(stepBytes, Math.ceil(this.#blob.size / steps));
    if (this.#offset < Math.min(this.#furthest + step, this.#blob.size)) return false;
    if (this.#offset === this.#furthest) return false;
    this.#furthest = this.#offset;
    progress();
    return true;
  }

  /** The answer to the last request may be all that was lost. */
  #isThere(call: Cancellable): Promise<boolean> {
    return this.#options.client.hasBlob(this.#blob.digest, call);
  }
}

function asPassing(error: RuntimeFault): RuntimeFault {
  const { code, message, details } = error;
  return fault(code, message, {
    cause: error,
    details: { ...details, ...passing(), isLost: false },
  });
}
