// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeFrame, type Frame, FrameReader, type OversizedFrame } from "./frame.ts";

const frame = fc.record(
  {
    streamId: fc.nat(0xffffffff),
    type: fc.nat(255),
    flags: fc.nat(255),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
);

function readIn(
  bytes: Buffer,
  cuts: readonly number[],
  limit?: number,
): (Frame | OversizedFrame)[] {
  const reader = new FrameReader(limit);
  const out: (Frame | OversizedFrame)[] = [];
  let at = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    out.push(...reader.push(bytes.subarray(at, Math.max(at, cut))));
    at = Math.max(at, cut);
  }
  out.push(...reader.push(bytes.subarray(at)));
  assert.equal(reader.isEmpty, true);
  return out;
}

test("FrameReader gives back what was encoded, wherever the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(3000)), (frames, cuts) => {
      const bytes = Buffer.concat(frames.map(encodeFrame));
      const read = readIn(
        bytes,
        cuts.map((cut) => Math.min(cut, bytes.byteLength)),
      );
      assert.deepEqual(read, frames);
    }),
  );
});

test("FrameReader skips payloads over the limit and reads on", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(3000)), (frames, cuts) => {
      const bytes = Buffer.concat(frames.map(encodeFrame));
      const read = readIn(
        bytes,
        cuts.map((cut) => Math.min(cut, bytes.byteLength)),
        50,
      );
      const expected = frames.map((each) =>
        each.payload.byteLength > 50
          ? { streamId: each.streamId, type: each.type, oversizedBytes: each.payload.byteLength }
          : each,
      );
      assert.deepEqual(read, expected);
    }),
  );
});

test("FrameReader survives any bytes", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
      const reader = new FrameReader(1000);
      for (const chunk of chunks) reader.push(Buffer.from(chunk));
    }),
  );
});

test("encodeFrame writes the header big endian", () => {
  const bytes = encodeFrame({
    streamId: 0x01020304,
    type: 1,
    flags: 2,
    payload: Buffer.from("ab"),
  });
  assert.equal(bytes.toString("hex"), "000000020102030401026162");
});

test("FrameReader holds what it gathers in one buffer, however small the chunks are", () => {
  const reader = new FrameReader();
  const payload = Buffer.alloc(1024 * 1024, 7);
  const bytes = encodeFrame({ streamId: 1, type: 1, flags: 0, payload });
  const before = process.memoryUsage().heapUsed;
  let at = 0;
  for (; at < bytes.length - 1; at += 1) reader.push(bytes.subarray(at, at + 1));
  const grown = process.memoryUsage().heapUsed - before;
  // A list would hold a million views of some hundred bytes.
  assert.ok(grown < 64 * 1024 * 1024, `${grown} bytes of heap`);
  const [frame] = reader.push(bytes.subarray(at));
  assert.ok(frame && "payload" in frame && frame.payload.equals(payload));
});
