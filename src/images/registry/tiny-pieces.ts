// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from "node:http";
import { fault, RuntimeFault } from "../../base/errors.ts";

/** How many bytes the pieces of a body must have on average, once there are many. */
const averageBytes = 64;
const freePieces = 1024;

/**
 * Makes a body in tiny pieces fail with RESOURCE_EXHAUSTED: an HTTP chunk may have one byte, and each is an object
 * and some microseconds of this thread. They are counted where the parser hands them over, since a reader of the
 * stream gets many at once.
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

/** Whether such a body failed for that reason. */
export function isTinyPieces(error: unknown): error is RuntimeFault {
  return error instanceof RuntimeFault && error.details?.["tinyPieces"] === true;
}

function tinyPieces(message: string): RuntimeFault {
  return fault("RESOURCE_EXHAUSTED", message, { details: { tinyPieces: true } });
}
