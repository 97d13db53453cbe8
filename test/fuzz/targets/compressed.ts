// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import zlib from "node:zlib";
import { errnoOf } from "../../../src/base/errors.ts";
import {
  type Compression,
  compressionOf,
  decompress,
} from "../../../src/images/unpack/decompress.ts";
import { pieces } from "../support/cuts.ts";
import type { FuzzTarget } from "../target.ts";

// An input is a blob, and before it two bytes: into what pieces the blob is cut on its way.

const cutBytes = 2;
/** Of what comes out: a few bytes can be a GiB, and whoever reads stops where it is too much. */
const enough = 4 * 1024 * 1024;

export const target: FuzzTarget = {
  name: "compressed",
  parses: ["src/images/unpack/decompress.ts"],
  maxBytes: 1024,
  dictionary: [
    "\x1f\x8b\x08",
    "\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0",
    "\x28\xb5\x2f\xfd",
    "\x50\x2a\x4d\x18\x04\0\0\0",
    "\x5f\x2a\x4d\x18\0\0\0\0",
    "\x03\0\0\0\0\0\0\0\0\0",
  ],
  *seeds() {
    const text = Buffer.from("a layer, and again a layer, and once more a layer");
    const cut = Buffer.from([255, 255]);
    const gzip = zlib.gzipSync(text);
    const zstd = zlib.zstdCompressSync(text);
    const skippable = Buffer.from("\x50\x2a\x4d\x18\x04\0\0\0skip", "latin1");
    for (const blob of [
      text,
      gzip,
      zstd,
      Buffer.concat([gzip, gzip]),
      Buffer.concat([zstd, skippable, zstd]),
      Buffer.concat([skippable, zstd]),
      Buffer.concat([gzip, Buffer.alloc(20)]),
      zlib.gzipSync(Buffer.alloc(1024 * 1024)),
      zlib.zstdCompressSync(Buffer.alloc(8 * 1024 * 1024)),
    ]) {
      yield Buffer.concat([cut, blob]);
    }
  },
  async run(input) {
    const blob = input.subarray(cutBytes);
    const compression = compressionOf(blob.subarray(0, 4));
    assert.equal(compression, kindOf(blob));
    const whole = await read([blob], compression);
    const cut = await read(pieces(blob, input.subarray(0, cutBytes)), compression);
    // One that is broken may come to so much before it shows, or not quite.
    if (cut.isMore || whole.isMore) {
      for (const { isMore, failed } of [cut, whole])
        assert.ok(isMore || failed, "as much comes out");
    } else assert.deepEqual(cut, whole, "wherever it is cut");
    const atOnce = sync(blob, compression);
    // What is wrong may come after so much, and either of the two is first to tell.
    if (whole.isMore) assert.ok(atOnce === "too much" || atOnce === undefined, "as much comes out");
    else if (atOnce === "too much") assert.ok(whole.failed, "as much comes out");
    else assert.equal(whole.failed ? undefined : whole.digest, atOnce, "as at once");
  },
};

interface Read {
  readonly digest: string;
  readonly failed: boolean;
  readonly isMore: boolean;
}

async function read(cut: readonly Buffer[], compression: Compression): Promise<Read> {
  const source = Readable.from(cut, { objectMode: false });
  const out: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of decompress(source, compression)) {
      assert.ok(chunk.length > 0 && chunk.length <= 512 * 1024, "pieces have a limit");
      out.push(chunk);
      length += chunk.length;
      if (length > enough) return { digest: "", failed: false, isMore: true };
    }
  } catch (error) {
    // What the extraction takes for the layer's own fault.
    assert.match(errnoOf(error) ?? String(error), /^Z(STD_error)?_/);
    return { digest: "", failed: true, isMore: false };
  } finally {
    if (!source.destroyed) await new Promise((resolve) => source.once("close", resolve));
  }
  return { digest: digestOf(Buffer.concat(out)), failed: false, isMore: false };
}

function kindOf(blob: Buffer): Compression {
  const [a, b, c, d] = blob;
  if (a === 0x1f && b === 0x8b && c === 8) return "gzip";
  const isSkippable = a !== undefined && a >= 0x50 && a <= 0x5f;
  if (isSkippable && b === 0x2a && c === 0x4d && d === 0x18) return "zstd";
  return a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd ? "zstd" : "none";
}

function sync(blob: Buffer, compression: Compression): string | undefined {
  const options = { maxOutputLength: enough };
  try {
    if (compression === "gzip") return digestOf(zlib.gunzipSync(blob, options));
    if (compression === "zstd") return digestOf(zlib.zstdDecompressSync(blob, options));
    return digestOf(blob);
  } catch (error) {
    return errnoOf(error) === "ERR_BUFFER_TOO_LARGE" ? "too much" : undefined;
  }
}

function digestOf(bytes: Buffer): string {
  return `${bytes.length} ${bytes.subarray(0, 4096).toString("hex")} ${zlib.crc32(bytes)}`;
}
