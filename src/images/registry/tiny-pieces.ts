// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from "node:http";
import { fault, RuntimeFault } from "../../base/errors.ts";

/** What the pieces of a body must hold on average, once there are so many. */
const averageBytes = 64;
const freePieces = 1024;

/**
 * Has a body fail with RESOURCE_EXHAUSTED that comes in tiny pieces: an HTTP chunk may be of one byte, and
 * each is an object and some microseconds of this thread. They are counted where the parser hands them over;
 * a reader of the stream gets many at once.
 */
export function refuseTinyPieces(body: IncomingMessage, url: URL): void {
  const push = body.push.bind(body);
  let pieces = 0;
  let bytes = 0;
  body.push = (piece: Uint8Array | null, encoding?: BufferEncoding) => {
    if (body.destroyed) return false; // the rest of what the parser has at hand
    if (piece !== null) {
      pieces += 1;
      bytes += piece.length;
      if (pieces > freePieces && bytes < pieces * averageBytes) {
        body.destroy(
          tinyPieces(`"${url.host}" answers in pieces of less than ${averageBytes} bytes`),
        );
        return false;
      }
    }
    return push(piece, encoding);
  };
}

/** True for what such a body fails with. */
export function isTinyPieces(error: unknown): error is RuntimeFault {
  return error instanceof RuntimeFault && error.details?.["tinyPieces"] === true;
}

function tinyPieces(message: string): RuntimeFault {
  return fault("RESOURCE_EXHAUSTED", message, { details: { tinyPieces: true } });
}
