// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  encodeFrame,
  type Frame,
  FrameReader,
  type OversizedFrame,
} from "../../../src/ttrpc/frame.ts";
import { sentInPieces } from "../support/cuts.ts";
import { sameBytes } from "../support/same-bytes.ts";
import type { FuzzTarget } from "../target.ts";

/** A limit that inputs reach and pass; behind it stand the same lines as behind 4 MiB. */
const limit = 300;

/** Bytes of a connection, cut anywhere, against a slow reading of all at once; and back again. */
export const target: FuzzTarget = {
  name: "ttrpc-frames",
  parses: ["src/ttrpc/frame.ts"],
  maxBytes: 2048,
  dictionary: [
    "\0\0\0\0",
    "\0\0\0\x0a",
    "\0\0\x01\x2c",
    "\0\0\x01\x2d",
    "\xff\xff\xff\xff",
    "\0\0\0\x01\x01\0",
  ],
  *seeds() {
    const frame = (streamId: number, type: number, payload: Buffer): Buffer =>
      encodeFrame({ streamId, type, flags: 0, payload });
    const bytes = Buffer.concat([
      frame(1, 1, Buffer.from("request")),
      frame(1, 2, Buffer.alloc(0)),
      frame(3, 3, Buffer.alloc(limit, 1)),
      frame(5, 1, Buffer.alloc(limit + 1, 2)),
      frame(7, 1, Buffer.from("last")),
    ]);
    for (const cuts of [0, 1, 2, 5, 8]) yield Buffer.concat([bytes, Buffer.from([0, cuts])]);
  },
  run(input) {
    const { bytes, pieces } = sentInPieces(input);
    const reader = new FrameReader(limit);
    const frames = pieces.flatMap((piece) => {
      const found = reader.push(piece);
      // Whoever keeps a frame finds it as it was.
      return found.map((frame) => ("payload" in frame ? { ...frame } : frame));
    });
    const expected = slowFrames(bytes);
    assert.deepEqual(frames.map(shown), expected.frames.map(shown));
    assert.equal(reader.isEmpty, expected.isWhole);
    const written = Buffer.concat(frames.map(rewritten));
    sameBytes(written, bytes.subarray(0, written.length), "written again");
  },
};

function shown(frame: Frame | OversizedFrame): string {
  const { streamId, type } = frame;
  if ("oversizedBytes" in frame) return `${streamId} ${type} oversized ${frame.oversizedBytes}`;
  return `${streamId} ${type} ${frame.flags} ${frame.payload.toString("hex")}`;
}

function slowFrames(bytes: Buffer): {
  readonly frames: readonly (Frame | OversizedFrame)[];
  readonly isWhole: boolean;
} {
  const frames: (Frame | OversizedFrame)[] = [];
  let at = 0;
  while (at < bytes.length) {
    const [a = 0, b = 0, c = 0, d = 0, ...more] = bytes.subarray(at, at + 10);
    if (more.length < 6) return { frames, isWhole: false };
    const length = ((a * 256 + b) * 256 + c) * 256 + d;
    const [e = 0, f = 0, g = 0, h = 0, type = 0, flags = 0] = more;
    const streamId = ((e * 256 + f) * 256 + g) * 256 + h;
    const payload = bytes.subarray(at + 10, at + 10 + length);
    if (length > limit) frames.push({ streamId, type, oversizedBytes: length });
    else if (payload.length === length) frames.push({ streamId, type, flags, payload });
    if (payload.length < length) return { frames, isWhole: false };
    at += 10 + length;
  }
  return { frames, isWhole: true };
}

/** As it came; an oversized one ends what can be compared. */
function rewritten(frame: Frame | OversizedFrame, at: number, all: readonly unknown[]): Buffer {
  const before = all.slice(0, at) as (Frame | OversizedFrame)[];
  if ("oversizedBytes" in frame || before.some((one) => "oversizedBytes" in one))
    return Buffer.alloc(0);
  return encodeFrame(frame);
}
