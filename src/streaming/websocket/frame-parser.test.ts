// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cut } from "../../../test/support/streaming/cut.ts";
import { WebSocketParser } from "./frame-parser.ts";
import { frameHeader, Opcode, unmask } from "./frames.ts";
import { WebSocketError } from "./websocket-error.ts";

/** A client's frame. */
function masked(
  opcode: number,
  payload: Buffer,
  last = true,
  mask = Buffer.from([1, 2, 3, 4]),
): Buffer {
  const header = frameHeader(opcode, payload.length);
  if (!last) header[0] = opcode;
  header[1] = (header[1] ?? 0) | 0x80;
  const body = Buffer.from(payload);
  for (let index = 0; index < body.length; index += 1) {
    body[index] = (body[index] ?? 0) ^ (mask[index % 4] ?? 0);
  }
  return Buffer.concat([header, mask, body]);
}

interface Recorder {
  readonly parser: WebSocketParser;
  readonly messages: string[];
  readonly controls: { readonly opcode: number; readonly payload: string }[];
}

function record(): Recorder {
  const messages: string[] = [];
  const controls: { opcode: number; payload: string }[] = [];
  let current: Buffer[] = [];
  const parser = new WebSocketParser({
    onData: (bytes, first, last) => {
      assert.equal(first, current.length === 0);
      current.push(Buffer.from(bytes));
      if (!last) return;
      messages.push(Buffer.concat(current).toString("hex"));
      current = [];
    },
    onControl: (opcode, payload) => controls.push({ opcode, payload: payload.toString("hex") }),
  });
  return { parser, messages, controls };
}

const payload = fc
  .oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 120, maxLength: 140 }))
  .map((array) => Buffer.from(array));
const mask = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((array) => Buffer.from(array));

test("WebSocketParser sees the same messages wherever the bytes were cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ parts: fc.array(payload, { minLength: 1, maxLength: 4 }), mask })),
      fc.array(fc.nat()),
      (sent, places) => {
        const { parser, messages, controls } = record();
        const wire = sent.flatMap(({ parts, mask }) =>
          parts.flatMap((part, index) => [
            masked(
              index === 0 ? Opcode.binary : Opcode.continuation,
              part,
              index === parts.length - 1,
              mask,
            ),
            masked(Opcode.ping, Buffer.from([index])), // may come between parts
          ]),
        );
        for (const piece of cut(Buffer.concat(wire), places)) parser.push(piece);
        assert.deepEqual(
          messages,
          sent.map(({ parts }) => Buffer.concat(parts).toString("hex")),
        );
        assert.equal(controls.length, sent.flatMap(({ parts }) => parts).length);
      },
    ),
  );
});

test("WebSocketParser survives any bytes: it goes on or throws WebSocketError", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
      const { parser } = record();
      try {
        for (const piece of pieces) parser.push(Buffer.from(piece));
      } catch (error) {
        assert.ok(error instanceof WebSocketError);
      }
    }),
    { numRuns: 1000 },
  );
});

test("unmask is its own inverse at every alignment and offset", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      mask,
      fc.nat({ max: 8 }),
      fc.nat({ max: 8 }),
      (data, mask, shift, offset) => {
        const room = Buffer.alloc(data.length + shift);
        const bytes = room.subarray(shift);
        bytes.set(data);
        unmask(bytes, mask, offset);
        for (const [index, byte] of data.entries()) {
          assert.equal(bytes[index], byte ^ (mask[(offset + index) % 4] ?? 0));
        }
        unmask(bytes, mask, offset);
        assert.deepEqual(bytes, Buffer.from(data));
      },
    ),
  );
});

for (const { name, wire } of [
  { name: "a frame without a mask", wire: frameHeader(Opcode.binary, 3) },
  { name: "reserved bits", wire: Buffer.from([0xc2, 0x80, 0, 0, 0, 0]) },
  { name: "an unknown opcode", wire: masked(3, Buffer.alloc(0)) },
  { name: "an unknown control opcode", wire: masked(11, Buffer.alloc(0)) },
  { name: "a continuation of nothing", wire: masked(Opcode.continuation, Buffer.alloc(0)) },
  { name: "a ping in parts", wire: masked(Opcode.ping, Buffer.alloc(0), false) },
  {
    name: "a ping whose length is told in the long form",
    wire: Buffer.from([0x89, 0xfe, 0, 0, 1, 2, 3, 4]),
  },
  { name: "a long ping", wire: masked(Opcode.ping, Buffer.alloc(126)) },
  {
    name: "a message within a message",
    wire: Buffer.concat([
      masked(Opcode.binary, Buffer.alloc(1), false),
      masked(Opcode.binary, Buffer.alloc(1)),
    ]),
  },
  {
    name: "a frame without end",
    wire: Buffer.concat([Buffer.from([0x82, 0xff]), Buffer.alloc(12, 0xff)]),
  },
]) {
  test(`WebSocketParser refuses ${name}`, () => {
    assert.throws(() => record().parser.push(Buffer.from(wire)), WebSocketError);
  });
}
