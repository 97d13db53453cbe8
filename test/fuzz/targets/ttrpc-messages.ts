// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import protobuf from "protobufjs";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from "../../../src/ttrpc/message.ts";
import type { FuzzTarget } from "../target.ts";

// Texts are read as bytes: what is no UTF-8 becomes U+FFFD here, and is no reason to refuse an answer.
const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message Request {
    bytes service = 1; bytes method = 2; bytes payload = 3; int64 timeout_nano = 4;
    repeated KeyValue metadata = 5;
  }
  message KeyValue { bytes key = 1; bytes value = 2; }
  message Response { Status status = 1; bytes payload = 2; }
  message Status { int32 code = 1; bytes message = 2; }
`,
  { keepCase: true },
);

type Fields = Readonly<Record<string, unknown>>;

/** The envelopes of calls and answers, against protobufjs' own reading by the proto; and there and back. */
export const target: FuzzTarget = {
  name: "ttrpc-messages",
  parses: ["src/ttrpc/message.ts"],
  maxBytes: 512,
  dictionary: [
    "\x0a",
    "\x12",
    "\x1a",
    "\x20",
    "\x2a",
    "\x08",
    "\x0b",
    "\x0c",
    "\xff\xff\xff\xff\x0f",
    "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
  ],
  *seeds() {
    yield Buffer.concat([
      Buffer.from([0]),
      encodeRequest({
        service: "containerd.services.events.ttrpc.v1.Events",
        method: "Forward",
        payload: Buffer.from([10, 3, 1, 2, 3]),
        timeoutNanos: 5_000_000_000,
        metadata: [
          ["containerd-namespace-ttrpc", "k8s.io"],
          ["traceparent", ""],
        ],
      }),
    ]);
    const message = 'container "a" not found';
    const payload = Buffer.from([8, 1]);
    yield Buffer.concat([Buffer.from([1]), encodeResponse({ code: 5, message, payload })]);
    yield Buffer.concat([Buffer.from([1]), encodeResponse({ code: 0, message: "", payload })]);
  },
  run(input) {
    const [kind = 0] = input;
    const bytes = input.subarray(1);
    if (kind % 2 === 0) checkRequest(bytes);
    else checkResponse(bytes);
  },
};

function checkRequest(bytes: Buffer): void {
  const expected = readBy("Request", bytes);
  const found = orUndefined(() => decodeRequest(bytes));
  assert.equal(found === undefined, expected === undefined, "one of the two refuses it");
  if (found === undefined || expected === undefined) return;
  const { service, method, payload, timeout_nano: nanos, metadata } = expected;
  const pairs = (metadata as Fields[]).map(({ key, value }) => [text(key), text(value)]);
  const timeoutNanos = Number(String(nanos));
  assert.deepEqual(
    { ...found, payload: Buffer.from(found.payload) },
    {
      service: text(service),
      method: text(method),
      payload: Buffer.from(payload as Uint8Array),
      timeoutNanos,
      metadata: pairs,
    },
  );
  assert.deepEqual({ ...decodeRequest(encodeRequest(found)) }.metadata, found.metadata);
}

function checkResponse(bytes: Buffer): void {
  const expected = readBy("Response", bytes);
  const found = orUndefined(() => decodeResponse(bytes));
  assert.equal(found === undefined, expected === undefined, "one of the two refuses it");
  if (found === undefined || expected === undefined) return;
  const { code = 0, message: said = [] } = (expected["status"] ?? {}) as Fields;
  const message = text(said);
  const payload = Buffer.from(expected["payload"] as Uint8Array);
  assert.deepEqual({ ...found, payload: Buffer.from(found.payload) }, { code, message, payload });
  const again = decodeResponse(encodeResponse(found));
  // A success has no message.
  assert.deepEqual(again, found.code === 0 ? { ...found, message: "" } : found);
}

function text(bytes: unknown): string {
  return Buffer.from(bytes as Uint8Array).toString("utf8");
}

function readBy(type: string, bytes: Buffer): Fields | undefined {
  const message = root.lookupType(type);
  return orUndefined(() =>
    message.toObject(message.decode(bytes), { defaults: true, longs: String }),
  );
}

/** A refusal of protobufjs is an Error or a RangeError; any other is a fault of ours. */
function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError || !(error instanceof Error)) throw error;
    return undefined;
  }
}
