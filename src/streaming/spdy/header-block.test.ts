// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type TestContext, test } from "node:test";
import { constants, createDeflate, createInflate, deflateSync } from "node:zlib";
import fc from "fast-check";
import { formatHeaders } from "../../../test/support/streaming/spdy-client.ts";
import { headerDictionary } from "./dictionary.ts";
import {
  emptyHeaderBlock,
  HeaderInflater,
  largestHeaderBlock,
  parseHeaders,
} from "./header-block.ts";
import { SpdyError } from "./spdy-error.ts";

/** Deflates blocks one after another with one state, as a client does. */
function deflater(t: TestContext): (block: Buffer) => Promise<Buffer> {
  const deflate = createDeflate({ dictionary: headerDictionary, flush: constants.Z_SYNC_FLUSH });
  const pieces: Buffer[] = [];
  deflate.on("data", (piece: Buffer) => pieces.push(piece));
  t.after(() => {
    deflate.destroy();
  });
  return (block) =>
    new Promise((resolve) => {
      deflate.write(block, () => resolve(Buffer.concat(pieces.splice(0))));
    });
}

test("the dictionary is the specification's", () => {
  assert.equal(headerDictionary.length, 1423);
  const digest = createHash("sha256").update(headerDictionary).digest("hex");
  assert.equal(digest, "51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02");
});

test("HeaderInflater reads block after block with one state", async (t) => {
  const deflate = deflater(t);
  using inflater = new HeaderInflater();
  for (const streamtype of ["error", "stdin", "stdout", "stderr", "resize"]) {
    const block = await deflate(formatHeaders({ streamtype, RequestID: "0" }));
    const headers = await inflater.read(block);
    assert.deepEqual(
      [...headers],
      [
        ["streamtype", streamtype],
        ["requestid", "0"],
      ],
    );
  }
});

test("HeaderInflater refuses what stands behind the end of the compressed stream", async () => {
  const block = deflateSync(formatHeaders({ a: "b" }), { dictionary: headerDictionary });
  using whole = new HeaderInflater();
  assert.deepEqual([...(await whole.read(block))], [["a", "b"]]);
  await assert.rejects(whole.read(Buffer.from("more")), SpdyError);
  using longer = new HeaderInflater();
  await assert.rejects(longer.read(Buffer.concat([block, Buffer.from("more")])), SpdyError);
});

test("HeaderInflater stops at a block that inflates without end", async (t) => {
  const deflate = deflater(t);
  const bomb = await deflate(Buffer.alloc(64 * 1024 * 1024));
  assert.ok(bomb.length < 80 * 1024);
  using inflater = new HeaderInflater();
  await assert.rejects(inflater.read(bomb), SpdyError);
  await assert.rejects(inflater.read(Buffer.alloc(1)), SpdyError);
});

test("HeaderInflater rejects what is not deflated, and what is under way when it is disposed", async () => {
  using inflater = new HeaderInflater();
  await assert.rejects(inflater.read(Buffer.from("no zlib here")), SpdyError);
  const closed = new HeaderInflater();
  const reading = closed.read(emptyHeaderBlock.first);
  closed[Symbol.dispose]();
  await assert.rejects(reading, SpdyError);
});

test("the empty header blocks inflate to no headers, for good", async () => {
  const inflate = createInflate({ dictionary: headerDictionary, flush: constants.Z_SYNC_FLUSH });
  const pieces: Buffer[] = [];
  inflate.on("data", (piece: Buffer) => pieces.push(piece));
  const { first, next } = emptyHeaderBlock;
  for (const block of [first, next, next]) {
    await new Promise<void>((resolve) => {
      inflate.write(block, () => resolve());
    });
    assert.deepEqual(Buffer.concat(pieces.splice(0)), Buffer.alloc(4));
  }
  inflate.destroy();
});

test("parseHeaders survives any bytes: it answers headers or throws SpdyError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        parseHeaders(Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof SpdyError);
      }
    }),
    { numRuns: 1000 },
  );
});

test("parseHeaders refuses a count without end", () => {
  const block = Buffer.alloc(largestHeaderBlock);
  block.writeUInt32BE(1000, 0);
  assert.throws(() => parseHeaders(block), SpdyError);
});
