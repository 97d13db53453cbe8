// SPDX-License-Identifier: Apache-2.0
import type { ClientRequest, IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { fault, RuntimeFault } from "../../base/errors.ts";

/** What is sent from a file. Such a request is not sent again by itself when its connection proves to be dead. */
export interface RequestBody {
  readonly bytes: number;
  /** A new stream of exactly that many bytes, for each time that it is sent. */
  open(): Readable;
  /** Called for each piece that goes to the connection. */
  onBytes?(bytes: number): void;
}

/** A body that is on its way. */
export interface Sending {
  /** Call with the answer: what comes before the body's end stops it, and the connection serves nothing else. */
  answered(response: IncomingMessage): void;
}

/**
 * Sends a body as fast as the connection takes it. One that cannot be read, or has another length than it says, ends
 * the request with DATA_LOSS (`isUnsendable`).
 */
export function sendStream(request: ClientRequest, body: RequestBody): Sending {
  const stream = openOrFail(body);
  let sent = 0;
  let isStopped = false;
  const stop = (): void => {
    isStopped = true;
    stream.destroy();
  };
  const fail = (why: string, cause?: Error): void => {
    if (!isStopped)
      request.destroy(fault("DATA_LOSS", why, { cause, details: { unsendable: true } }));
  };
  const isOther = (): boolean => sent !== body.bytes;
  stream.on("data", (chunk: Buffer) => {
    sent += chunk.length;
    if (sent > body.bytes) {
      fail(`what is sent has more than ${body.bytes} bytes`);
      return;
    }
    body.onBytes?.(chunk.length);
    if (!request.write(chunk)) stream.pause();
  });
  request.on("drain", () => void stream.resume());
  stream.on("end", () => {
    if (isOther()) fail(`what is sent has ${sent} bytes, not ${body.bytes}`);
    else request.end();
  });
  stream.on("error", (error) => fail("what is sent cannot be read", error));
  request.on("close", stop);
  return {
    answered: (response) => {
      if (!isOther()) return;
      stop();
      response.once("close", () => void request.destroy());
    },
  };
}

/** A stream that fails where there is none: the request must end either way. */
function openOrFail(body: RequestBody): Readable {
  try {
    return body.open();
  } catch (error) {
    return new Readable({
      read() {
        this.destroy(error instanceof Error ? error : new Error(String(error)));
      },
    });
  }
}

/** Whether a request ended for what we have to send, and not for its server. */
export function isUnsendable(error: unknown): boolean {
  return error instanceof RuntimeFault && error.details?.["unsendable"] === true;
}
