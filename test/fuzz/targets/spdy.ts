// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { SpdyConnection } from "../../../src/streaming/spdy/connection.ts";
import type { SpdyStream } from "../../../src/streaming/spdy/stream.ts";
import { sentInPieces } from "../support/cuts.ts";
import { MemoryTransport } from "../support/memory-transport.ts";
import { sameBytes } from "../support/same-bytes.ts";
import { Broken, type SlowFrame, SlowHeaders, slowFrames } from "../support/slow-spdy.ts";
import { deflatedOpen, SpdyClientBytes } from "../support/spdy-seeds.ts";
import type { FuzzTarget } from "../target.ts";

/**
 * A client's bytes on a connection, behind one byte of circumstances. What the streams get, and what is
 * answered, is what a slow reading of all bytes at once says, wherever they were cut.
 */
export const target: FuzzTarget = {
  name: "spdy",
  parses: [
    "src/streaming/spdy/connection.ts",
    "src/streaming/spdy/frame-parser.ts",
    "src/streaming/spdy/header-block.ts",
    "src/streaming/spdy/stream.ts",
  ],
  dictionary: [
    "\x80\x03\x00\x01\x00",
    "\x80\x03\x00\x01\x01",
    "\x80\x03\x00\x02\x00",
    "\x80\x03\x00\x03\x00\x00\x00\x08",
    "\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01",
    "\x80\x03\x00\x08\x00",
    "\x00\x00\x00\x01\x00\x00\x00\x01x",
    "\x00\x00\x00\x03\x01\x00\x00\x00",
    "\x00\x00\x00\x00\xff\xff",
    "\x01\x00\x00\xff\xff",
    "\x7f\xff\xff\xff",
    "streamtype",
  ],
  *seeds() {
    const command = new SpdyClientBytes()
      .open(1, { streamtype: "error" }, 1)
      .open(3, { streamtype: "stdin" })
      .open(5, { streamtype: "stdout" })
      .data(3, "some input")
      .ping(1)
      .data(3, "and its end", true)
      .data(5, "");
    const odd = new SpdyClientBytes()
      .open(1, { streamtype: "data", requestID: "0", port: "80" })
      .headers(1, { more: "" })
      .data(9, "to nobody")
      .data(1, "x")
      .reset(1)
      .data(1, "late")
      .control(4, 0, Buffer.alloc(12))
      .ping(2)
      .open(7, { a: "1", A: "2" });
    const many = new SpdyClientBytes();
    for (let id = 1; id < 40; id += 2) many.open(id, { streamtype: "error" });
    const kubectl = deflatedOpen(1, { streamtype: "error", requestid: "0" });
    const finished = deflatedOpen(1, { streamtype: "error" }, true);
    const behind = new SpdyClientBytes().ping(3).data(1, "tail").bytes;
    for (const bytes of [command.bytes, odd.bytes, many.bytes, Buffer.concat([kubectl, behind])]) {
      for (const cuts of [0, 1, 5])
        yield Buffer.concat([Buffer.from([6]), bytes, Buffer.from([0, cuts])]);
      yield Buffer.concat([Buffer.from([1]), bytes, Buffer.from([0, 0])]);
    }
    // The limits: of headers, of what they inflate to, and of a control frame.
    const pad = (bytes: number): Record<string, string> => ({ "": " ".repeat(bytes - 12) });
    const empty = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [String(at), ""]));
    for (const headers of [empty(64), empty(65), pad(16 * 1024), pad(16 * 1024 + 1)]) {
      yield Buffer.concat([
        Buffer.from([6]),
        deflatedOpen(1, headers),
        behind,
        Buffer.from([0, 0]),
      ]);
      yield Buffer.concat([
        Buffer.from([6]),
        deflatedOpen(1, headers),
        behind,
        Buffer.from([0, 1]),
      ]);
    }
    for (const length of ["010000", "010001"]) {
      yield Buffer.concat([
        Buffer.from([6]),
        Buffer.from(`8003000600${length}`, "hex"),
        Buffer.from([0, 0]),
      ]);
    }
    const goesOn = new SpdyClientBytes().headers(1, { more: "" }).bytes;
    yield Buffer.concat([Buffer.from([6]), finished, behind, Buffer.from([0, 0])]);
    yield Buffer.concat([Buffer.from([6]), finished, goesOn, behind, Buffer.from([0, 0])]);
  },
  async run(input) {
    const [circumstances = 0] = input;
    const isLate = (circumstances & 1) !== 0;
    const maxStreams = 1 + (circumstances & 14);
    const { bytes, pieces } = sentInPieces(input.subarray(1));
    const expected = slowConnection(bytes, maxStreams);

    const opened: SpdyStream[] = [];
    const got = new Map<SpdyStream, Taken>();
    const take = (stream: SpdyStream): void => {
      const taken: Taken = { pieces: [], ended: false };
      got.set(stream, taken);
      stream.on("data", (piece: Buffer) => {
        taken.pieces.push(Buffer.from(piece));
        stream.write(piece);
      });
      stream.on("end", () => (taken.ended = true));
    };
    const transport = new MemoryTransport();
    const connection = new SpdyConnection(transport, {
      head: (circumstances & 16) === 0 ? Buffer.alloc(0) : (pieces.shift() ?? Buffer.alloc(0)),
      maxStreams,
      onActivity: () => {},
      onStream: (stream) => {
        opened.push(stream);
        if (!isLate) take(stream);
      },
    });
    transport.arrive(...pieces);
    await transport.allTaken();
    const isOpen = !transport.destroyed;
    assert.equal(isOpen, expected.broken === undefined, `cut off: ${expected.broken?.message}`);
    assert.equal(connection.gone.aborted, !isOpen);
    for (const stream of isLate ? opened : []) take(stream);
    if (isLate) await transport.allTaken();

    assert.deepEqual(
      opened.map(({ id, headers }) => [id, headers]),
      expected.streams.map(({ id, headers }) => [id, headers]),
    );
    const answers = answersIn(transport.written);
    assert.deepEqual(answers.control, expected.answers);
    for (const [at, stream] of opened.entries()) {
      const wanted = expected.streams[at];
      const taken = got.get(stream);
      assert.ok(wanted && taken);
      const received = Buffer.concat(taken.pieces);
      const whole = Buffer.concat(wanted.data);
      if (isOpen && !wanted.reset) {
        sameBytes(received, whole, `stream ${stream.id}`);
        assert.equal(taken.ended, wanted.fin, `the end of stream ${stream.id}`);
        sameBytes(answers.dataOf(stream.id), whole, `the echo of stream ${stream.id}`);
      } else {
        // What was not read before the reset is lost.
        sameBytes(received, whole.subarray(0, received.length), `stream ${stream.id}`);
      }
    }
    connection.destroy();
    await transport.allTaken();
    assert.ok(connection.gone.aborted);
    assert.ok(
      opened.every(({ destroyed }) => destroyed),
      "a stream outlives its connection",
    );
  },
};

interface Taken {
  readonly pieces: Buffer[];
  ended: boolean;
}

interface SlowStream {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly data: Buffer[];
  fin: boolean;
  reset: boolean;
}

interface Expected {
  readonly streams: readonly SlowStream[];
  /** What goes back, but for data: types, and the words of which the payloads are made. */
  readonly answers: readonly string[];
  readonly broken: Broken | undefined;
}

function slowConnection(bytes: Buffer, maxStreams: number): Expected {
  const streams: SlowStream[] = [];
  const answers: string[] = [];
  const headers = new SlowHeaders();
  let last = 0;
  const open = (): SlowStream[] => streams.filter(({ reset }) => !reset);
  const need = (payload: Buffer, length: number): void => {
    if (payload.length < length) throw new Broken("too short");
  };
  const take = ({ control, type, flags, id, payload }: SlowFrame): void => {
    if (!control) {
      const stream = open().find((one) => one.id === id);
      if (stream === undefined || stream.fin) return;
      stream.data.push(payload);
      stream.fin = (flags & 1) === 1;
    } else if (type === 1) {
      need(payload, 10);
      const streamId = payload.readUInt32BE(0) % 2 ** 31;
      if (streamId % 2 === 0 || streamId <= last) throw new Broken("stream id");
      last = streamId;
      const given = headers.read(payload.subarray(10));
      if (open().length >= maxStreams) {
        answers.push(`reset ${streamId} 3`);
        return;
      }
      answers.push(`reply ${streamId} ${streams.length === 0 ? "first" : "next"}`);
      streams.push({
        id: streamId,
        headers: given,
        data: [],
        fin: (flags & 1) === 1,
        reset: false,
      });
    } else if (type === 2 || type === 8) {
      need(payload, 4);
      headers.read(payload.subarray(4));
    } else if (type === 3 && payload.length >= 4) {
      const stream = open().find((one) => one.id === payload.readUInt32BE(0));
      if (stream) stream.reset = true;
    } else if (type === 6 && payload.length >= 4 && payload.readUInt32BE(0) % 2 === 1) {
      answers.push(`ping ${payload.readUInt32BE(0)}`);
    }
  };
  try {
    slowFrames(bytes, take);
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    return { streams, answers: [...answers, `goaway ${last} 1`], broken: error };
  }
  return { streams, answers, broken: undefined };
}

function answersIn(written: Buffer): { control: string[]; dataOf: (id: number) => Buffer } {
  const control: string[] = [];
  const data: SlowFrame[] = [];
  let length = 0;
  slowFrames(written, (frame) => {
    const { payload, type } = frame;
    length += 8 + payload.length;
    if (!frame.control) {
      data.push(frame);
      return;
    }
    const id = payload.readUInt32BE(0);
    if (type === 2) control.push(`reply ${id} ${payload.length === 20 ? "first" : "next"}`);
    else if (type === 3) control.push(`reset ${id} ${payload.readUInt32BE(4)}`);
    else if (type === 6) control.push(`ping ${id}`);
    else if (type === 7) control.push(`goaway ${id} ${payload.readUInt32BE(4)}`);
    else control.push(`type ${type}`);
  });
  assert.equal(length, written.length, "an answer that is cut short");
  const dataOf = (id: number): Buffer =>
    Buffer.concat(data.filter((frame) => frame.id === id).map(({ payload }) => payload));
  return { control, dataOf };
}
