// SPDX-License-Identifier: Apache-2.0
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { fault, type RuntimeFault } from "../../base/errors.ts";
import { startTimer } from "../../base/timers.ts";

/** An answer whose body is still to be read: consume it, or call `discard`. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
  /** Who answered: after redirects it need not be who was asked. */
  readonly url: URL;
  discard(): void;
}

/** A body of this size is cheaper to read than a new connection; anything else is cut off. */
const worthReadingBytes = 64 * 1024;
const discardMs = 5_000;

export function answerOf(body: IncomingMessage, url: URL): HttpAnswer {
  body.on("error", () => {}); // whoever reads the body sees it; nobody may
  return {
    status: body.statusCode ?? 0,
    headers: body.headers,
    body,
    url,
    discard: () => discard(body),
  };
}

/**
 * The whole body, for small answers. `tooLong` is thrown past `maxBytes`, after which the connection is
 * cut. The signal's reason when it fires; UNAVAILABLE for a connection that breaks.
 */
export async function readBody(
  answer: HttpAnswer,
  {
    maxBytes,
    signal,
    received,
    tooLong = () =>
      fault("RESOURCE_EXHAUSTED", `"${answer.url.host}" answers more than ${maxBytes} bytes`),
  }: {
    readonly maxBytes: number;
    readonly signal: AbortSignal;
    readonly received?: (bytes: number) => void;
    readonly tooLong?: () => RuntimeFault;
  },
): Promise<Buffer> {
  const { body, url } = answer;
  const cut = (): void => void body.destroy();
  const chunks: Buffer[] = [];
  let size = 0;
  signal.addEventListener("abort", cut, { once: true });
  try {
    signal.throwIfAborted();
    for await (const chunk of body) {
      size += (chunk as Buffer).length;
      if (size > maxBytes) break; // which destroys the body
      received?.((chunk as Buffer).length);
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    body.destroy();
    if (signal.aborted) throw signal.reason;
    throw fault("UNAVAILABLE", `"${url.host}" broke the connection`, { cause: error });
  } finally {
    signal.removeEventListener("abort", cut);
  }
  if (size > maxBytes) throw tooLong();
  if (signal.aborted) throw signal.reason;
  return Buffer.concat(chunks);
}

function discard(body: IncomingMessage): void {
  const length = Number(body.headers["content-length"] ?? Infinity);
  if (!(length <= worthReadingBytes)) {
    body.destroy();
    return;
  }
  const late = startTimer(() => body.destroy(), discardMs).unref();
  body.on("close", () => late.stop());
  body.resume();
}
