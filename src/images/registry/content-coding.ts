// SPDX-License-Identifier: Apache-2.0
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { pipeline, type Readable, type Transform } from "node:stream";
import zlib from "node:zlib";
import { errnoOf } from "../../base/errors.ts";

const options = { chunkSize: 64 * 1024 } as const;
/** RFC 9659: 8 MiB. A frame may ask for 128 MiB, and each is memory that the decoder takes at once. */
const windowLog = 23;
const decoders: ReadonlyMap<string, () => Transform> = new Map([
  ["gzip", () => zlib.createGunzip(options)],
  ["x-gzip", () => zlib.createGunzip(options)],
  ["deflate", () => zlib.createInflate(options)],
  ["br", () => zlib.createBrotliDecompress(options)],
  ["zstd", () => zlib.createZstdDecompress({ ...options, params: zstdParams() })],
]);

/** Not a constant: that would have each start load zlib. */
function zstdParams(): Record<number, number> {
  return { [zlib.constants.ZSTD_d_windowLogMax]: windowLog };
}

/** Asks for no compression on the way: digests and ranges are of what the server has. */
export const uncoded = { "accept-encoding": "identity" } as const;

/** How a proxy has compressed an answer on its way, although we ask for none of it; undefined for not at all. */
export function codingOf(headers: IncomingHttpHeaders): string | undefined {
  const coding = (headers["content-encoding"] ?? "").trim().toLowerCase();
  return decoders.has(coding) ? coding : undefined;
}

/**
 * An answer's body without what a proxy did to it. Some stores name a layer's own compression there: an answer as long
 * as what is wanted, `size` bytes, is taken as it is. Destroying it destroys the answer's body.
 */
export function plainBody(
  { headers, body }: { readonly headers: IncomingHttpHeaders; readonly body: IncomingMessage },
  size?: number,
): Readable {
  const coding = codingOf(headers);
  const decoder = coding === undefined ? undefined : decoders.get(coding)?.();
  if (!decoder || headers["content-length"] === String(size)) return body;
  return pipeline(body, decoder, () => {}); // whose reader gets the errors of both
}

/** Whether a body failed because it is not compressed as its answer says. One that ends early is another matter. */
export function isMiscoded(error: unknown): boolean {
  return /^(Z_(?!BUF_)|ZSTD_error_|ERR__ERROR_)/.test(errnoOf(error) ?? "");
}
