// SPDX-License-Identifier: Apache-2.0
import type { Readable } from "node:stream";
import zlib from "node:zlib";

export type Compression = "gzip" | "zstd" | "none";

/** By the first bytes: media types are wrong too often. */
export function compressionOf(start: Uint8Array): Compression {
  const word = Buffer.from(start.subarray(0, 4)).toString("hex");
  if (word.startsWith("1f8b08")) return "gzip";
  // A zstd frame, or a skippable frame before it (0x184D2A50 to 5F, little endian).
  if (word === "28b52ffd" || /^5.2a4d18$/.test(word)) return "zstd";
  return "none";
}

const chunkBytes = 512 * 1024;

/** The plain bytes of a stream; errors of the source reach whoever reads them. */
export function decompress(source: Readable, compression: Compression): AsyncIterable<Buffer> {
  if (compression === "none") return source;
  const options = { chunkSize: chunkBytes };
  const inflate =
    compression === "gzip" ? zlib.createGunzip(options) : zlib.createZstdDecompress(options);
  source.on("error", (error) => inflate.destroy(error));
  inflate.on("close", () => source.destroy());
  return source.pipe(inflate);
}
