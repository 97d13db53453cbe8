// SPDX-License-Identifier: Apache-2.0
import type { Readable } from "node:stream";
import zlib from "node:zlib";
import { errnoOf, fault } from "../../base/errors.ts";

export type Compression = "gzip" | "zstd" | "none";

/** By the first bytes: media types are wrong too often. */
export function compressionOf(start: Uint8Array): Compression {
  const word = Buffer.from(start.subarray(0, 4)).toString("hex");
  if (word.startsWith("1f8b08")) return "gzip";
  // A zstd frame, or a skippable frame before it (0x184D2A50 to 5F, little endian).
  if (word === "28b52ffd" || /^5.2a4d18$/.test(word)) return "zstd";
  return "none";
}

/** How much of the start tells how it is compressed. */
export const magicBytes = 10;

/** How others begin, in hex. */
const unread: readonly (readonly [start: string, name: string])[] = [
  ["fd377a585a00", "xz"],
  ["425a68..314159265359", "bzip2"],
  ["04224d18", "lz4"],
];

/** The same, of what is to be read. INVALID_ARGUMENT, by its name, for a compression that is not. */
export function readableCompression(start: Uint8Array): Compression {
  const hex = Buffer.from(start.subarray(0, magicBytes)).toString("hex");
  const other = unread.find(([magic]) => new RegExp(`^${magic}`).test(hex));
  if (other === undefined) return compressionOf(start);
  throw fault(
    "INVALID_ARGUMENT",
    `it is compressed with ${other[1]}, which is not read: compress it with gzip or zstd`,
  );
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
  const plain = source.pipe(inflate);
  return compression === "zstd" ? namingWindow(plain) : plain;
}

/** zstd's own limit, which `zstd --long=27` stays below. More would be memory that an image's author has us take. */
const mostWindowMiB = 128;

async function* namingWindow(
  plain: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* plain;
  } catch (error) {
    if (errnoOf(error) !== "ZSTD_error_frameParameter_windowTooLarge") throw error;
    throw fault(
      "INVALID_ARGUMENT",
      `its zstd window is larger than ${mostWindowMiB} MiB: compress it with --long=27 or less`,
      { cause: error },
    );
  }
}
