// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cut } from "../../../test/support/streaming/cut.ts";
import { FrameParser, largestControlFrame } from "./frame-parser.ts";
import { controlFrame, dataHeader, pingFrame } from "./frames.ts";
import { SpdyError } from "./spdy-error.ts";

type Seen =
  | { readonly id: number; bytes: string; fin: boolean }
  | { readonly type: number; readonly flags: number; readonly payload: string };

/** Gathers the pieces of a DATA frame, which depend on the cuts. */
class Recorder {
  readonly seen: Seen[] = [];
  readonly parser = new FrameParser({
    onData: (id, bytes, fin) => {
      const last = this.seen.at(-1);
      if (last && "id" in last && last.id === id && !last.fin) {
        last.bytes += bytes.toString("hex");
        last.fin = fin;
      } else {
        this.seen.push({ id, bytes: bytes.toString("hex"), fin });
      }
    },
    onControl: (type, flags, payload) =>
      this.seen.push({ type, flags, payload: payload.toString("hex") }),
  });
}

const streamId = fc.integer({ min: 1, max: 0x7fff_ffff });
const bytes = fc.uint8Array({ maxLength: 64 }).map((array) => Buffer.from(array));
const dataFrame = fc.record({ id: streamId, payload: bytes }).map(({ id, payload }) => ({
  wire: Buffer.concat([dataHeader(id, payload.length, true), payload]),
  seen: { id, bytes: payload.toString("hex"), fin: true } as Seen,
}));
const control = fc
  .record({
    type: fc.integer({ min: 1, max: 99 }),
    flags: fc.integer({ min: 0, max: 3 }),
    payload: bytes,
  })
  .map(({ type, flags, payload }) => ({
    wire: controlFrame(type, flags, payload),
    seen: { type, flags, payload: payload.toString("hex") } as Seen,
  }));

test("FrameParser sees the same frames wherever the bytes were cut, and whenever it was paused", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(dataFrame, control)),
      fc.array(fc.nat()),
      fc.boolean(),
      (frames, places, pausing) => {
        const { parser, seen } = new Recorder();
        for (const piece of cut(Buffer.concat(frames.map(({ wire }) => wire)), places)) {
          if (pausing) parser.pause();
          parser.push(piece);
          parser.resume();
        }
        assert.deepEqual(
          seen,
          frames.map((frame) => frame.seen),
        );
      },
    ),
  );
});

test("FrameParser survives any bytes: it goes on or throws SpdyError", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
      const { parser } = new Recorder();
      try {
        for (const piece of pieces) parser.push(Buffer.from(piece));
      } catch (error) {
        assert.ok(error instanceof SpdyError);
      }
    }),
    { numRuns: 1000 },
  );
});

test("FrameParser hands DATA on as it comes, whatever the frame's length", () => {
  const { parser, seen } = new Recorder();
  parser.push(dataHeader(1, 0xff_ffff, false));
  parser.push(Buffer.from("abc"));
  assert.deepEqual(seen, [{ id: 1, bytes: "616263", fin: false }]);
  assert.equal(parser.waitingBytes, 0);
});

test("FrameParser refuses another version and control frames without end", () => {
  const version2 = pingFrame(1);
  version2.writeUInt16BE(0x8002, 0);
  assert.throws(() => new Recorder().parser.push(version2), SpdyError);
  const long = controlFrame(1, 0, Buffer.alloc(0));
  long.writeUIntBE(largestControlFrame + 1, 5, 3);
  assert.throws(() => new Recorder().parser.push(long), SpdyError);
});
