// SPDX-License-Identifier: Apache-2.0
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { fault, type RuntimeFault } from "../../base/errors.ts";
import { GrowingBuffer } from "../../base/growing-buffer.ts";
import { onAbort } from "../../base/on-abort.ts";
import { startTimer } from "../../base/timers.ts";
import { settlesWithin } from "../../base/waits.ts";
import { isMiscoded } from "./content-coding.ts";
import { passing } from "./patience.ts";
import type { Proxy } from "./proxies.ts";
import { registryFault } from "./registry-fault.ts";
import { isTinyPieces, refuseTinyPieces } from "./tiny-pieces.ts";

/** An answer whose body is still to be read: consume it, or call `discard`. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
  /** The server that answered: after redirects it need not be the one that was asked. */
  readonly url: URL;
  /** Through which it came, or which answered in its place. */
  readonly proxy: Proxy | undefined;
  /** Drops the body. Settles once its connection may serve another request, or is not worth waiting for. */
  discard(): Promise<void>;
  /** Settles when the connection of a body that was read to its end may serve another request. */
  freed(): Promise<void>;
}

/** A rest of this size is cheaper to read than a new connection to make; a longer one is cut off. */
const worthReadingBytes = 64 * 1024;
const discardMs = 5_000;

/** What a connection's return is waited for: it is at hand within the same turn, or after a body that is on its way. */
const freeMs = 20;

interface AnswerOrigin extends Pick<HttpAnswer, "url" | "proxy"> {
  readonly isHead: boolean;
  /** Settles when the request is done with its connection. */
  readonly closed: Promise<void>;
}

export function answerOf(
  body: IncomingMessage,
  { url, proxy, isHead, closed }: AnswerOrigin,
): HttpAnswer {
  const freed = async (): Promise<void> => void (await settlesWithin(closed, freeMs));
  body.on("error", () => {}); // the body's reader gets the error; there may be none
  refuseTinyPieces(body, url);
  return {
    status: body.statusCode ?? 0,
    headers: body.headers,
    body,
    url,
    proxy,
    discard: async () => {
      if (discard(body, isHead)) await freed();
    },
    freed,
  };
}

/**
 * The whole body, for small answers. Past `maxBytes` `tooLong` is thrown and the connection cut; RESOURCE_EXHAUSTED
 * for a body in tiny pieces. The signal's reason when it fires; UNAVAILABLE for a connection that breaks,
 * FAILED_PRECONDITION for a body that is not compressed as it says.
 */
export async function readBody(
  answer: Pick<HttpAnswer, "url"> &
    Partial<Pick<HttpAnswer, "freed">> & { readonly body: Readable },
  {
    maxBytes,
    signal,
    received,
    isCut = false,
    tooLong = () =>
      fault("RESOURCE_EXHAUSTED", `"${answer.url.host}" answers more than ${maxBytes} bytes`),
  }: {
    readonly maxBytes: number;
    readonly signal: AbortSignal;
    readonly received?: (bytes: number) => void;
    /** Answers the first `maxBytes` of a longer body. */
    readonly isCut?: boolean;
    readonly tooLong?: () => RuntimeFault;
  },
): Promise<Buffer> {
  const { body, url } = answer;
  const kept = new GrowingBuffer(maxBytes);
  let isTooLong = false;
  using _reaction = onAbort(signal, () => void body.destroy());
  try {
    signal.throwIfAborted();
    for await (const chunk of body) {
      const { length } = chunk as Buffer;
      isTooLong = kept.add(chunk as Buffer) < length;
      if (isTooLong) break; // which destroys the body
      received?.(length);
    }
  } catch (error) {
    body.destroy();
    if (signal.aborted) throw signal.reason;
    if (isTinyPieces(error)) throw error;
    if (isMiscoded(error)) {
      const why = `"${url.host}" answers what is not compressed as it says`;
      throw fault("FAILED_PRECONDITION", why, { cause: error });
    }
    throw registryFault(`"${url.host}" broke the connection`, {
      cause: error,
      details: passing(),
    });
  }
  if (isTooLong && !isCut) throw tooLong();
  if (signal.aborted) throw signal.reason;
  if (!isTooLong) await answer.freed?.();
  return kept.bytes();
}

/** False where the connection is cut off at once. */
function discard(body: IncomingMessage, isHead: boolean): boolean {
  // A HEAD has none, whatever length its headers tell.
  const length = isHead ? 0 : Number(body.headers["content-length"] ?? 0);
  if (!(length <= worthReadingBytes)) {
    body.destroy();
    return false;
  }
  let read = 0;
  body.on("data", (chunk: Buffer) => {
    read += chunk.length;
    if (read > worthReadingBytes) body.destroy();
  });
  const late = startTimer(() => body.destroy(), discardMs).unref();
  body.on("close", () => late.stop());
  return true;
}
