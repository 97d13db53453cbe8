// SPDX-License-Identifier: Apache-2.0
import type { Readable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { freeBytes } from "../../base/free-bytes.ts";
import { onAbort } from "../../base/on-abort.ts";
import type { ContentWriter } from "../../content/ports.ts";
import type { Descriptor } from "../manifest/documents.ts";
import { isMiscoded, plainBody } from "./content-coding.ts";
import type { HttpAnswer } from "./http-answer.ts";
import { registryFault } from "./registry-fault.ts";
import { isTinyPieces } from "./tiny-pieces.ts";
import { TransferWatch } from "./transfer-watch.ts";

export interface Receiving extends Cancellable {
  readonly answer: HttpAnswer;
  /** Where in the blob the answer begins: not after the writer's end. */
  readonly start: number;
  readonly descriptor: Descriptor;
  readonly writer: ContentWriter;
  /** A transfer that brings too little for this long is ended; 0 for never. */
  readonly windowMs: number;
  /** Called for each piece that arrives. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** How far a body may inflate: as far as gzip can. A short piece of it, such as one of zeros, may with any coding. */
const inflation = 1100;
const freeInflated = 16 * 1024 * 1024;

/**
 * Appends what an answer brings until the blob is complete. What the writer has already is passed over. Errors:
 * UNAVAILABLE (broken off, and may be gone on with), FAILED_PRECONDITION (not the blob), DEADLINE_EXCEEDED (no
 * progress), RESOURCE_EXHAUSTED (tiny pieces), those of the writer and the signal.
 */
export async function receiveBlob({ answer, start, ...receiving }: Receiving): Promise<void> {
  const { descriptor, writer, windowMs, onBytes } = receiving;
  const { digest, size } = descriptor;
  using watch = new TransferWatch({ what: `download of "${digest}"`, windowMs });
  const body = plainBody(answer, size);
  let sent = 0;
  // Before it is decoded: a few bytes that inflate to gigabytes are no progress.
  answer.body.on("data", ({ length }: Buffer) => {
    sent += length;
    watch.received(length);
  });
  const cut = (): void => void body.destroy();
  using _reaction = onAbort(watch.signal, cut);
  const signal = AbortSignal.any([receiving.signal, watch.signal]);
  let came = 0;
  let at = start;
  try {
    for await (const bytes of piecesOf(body, digest)) {
      signal.throwIfAborted();
      onBytes?.(bytes.length);
      const known = Math.min(bytes.length, Math.max(0, Number(writer.offsetBytes) - at));
      at += bytes.length;
      came += bytes.length;
      if (at > size) throw fault("FAILED_PRECONDITION", `"${digest}" is longer than ${size} bytes`);
      if (came > freeInflated + inflation * sent) {
        throw fault(
          "FAILED_PRECONDITION",
          `"${digest}" inflates to more than a proxy's coding may`,
        );
      }
      if (known < bytes.length) await writer.write(bytes.subarray(known), { signal });
    }
  } catch (error) {
    cut();
    receiving.signal.throwIfAborted();
    throw watch.signal.aborted ? watch.signal.reason : error;
  }
  if (at >= size) return;
  throw isWholeAnswer(answer)
    ? fault(
        "FAILED_PRECONDITION",
        `"${digest}" ends after ${at} bytes, its descriptor says ${size}`,
      )
    : registryFault(`download of "${digest}" ended early`);
}

/** The bytes that arrive, each piece good until the next is asked for. A full disk of ours is another error. */
async function* piecesOf(body: Readable, digest: string): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of body) {
      yield chunk as Buffer;
      freeBytes(chunk as Buffer);
    }
  } catch (error) {
    if (isTinyPieces(error)) throw error;
    if (isMiscoded(error)) {
      const why = `"${digest}" is not compressed as its answer says`;
      throw fault("FAILED_PRECONDITION", why, { cause: error });
    }
    throw registryFault(`download of "${digest}" broke off`, { cause: error });
  }
}

/**
 * Whether an answer that ended is all that its server has: not where a broken connection looks like the end, and not
 * where it is a part. A page in place of a blob is whole whichever way it ends.
 */
function isWholeAnswer({ status, headers, body }: HttpAnswer): boolean {
  if (status === 206) return false;
  const isPage = /^(text\/|application\/(json|xhtml))/i.test(headers["content-type"] ?? "");
  const hasEnd = headers["transfer-encoding"] !== undefined || "content-length" in headers;
  return isPage || (hasEnd && body.complete);
}
