// SPDX-License-Identifier: Apache-2.0
import protobuf from "protobufjs/light.js";

/** What a request frame carries. */
export interface TtrpcRequest {
  readonly service: string;
  readonly method: string;
  readonly payload: Uint8Array;
  /** Nanoseconds the server may take; 0 for no limit. */
  readonly timeoutNanos: number;
  readonly metadata: readonly (readonly [key: string, value: string])[];
}

/** What a response frame carries; code 0 is success. */
export interface TtrpcResponse {
  readonly code: number;
  readonly message: string;
  readonly payload: Buffer;
}

// Protobuf tags: field number << 3 | wire type (0 varint, 2 length-delimited).
const requestTag = {
  service: 10,
  method: 18,
  payload: 26,
  timeoutNanos: 32,
  metadata: 42,
} as const;
/** Far more than clients send: a namespace, and what traces. */
export const maxMetadata = 1024;
const responseTag = { status: 10, payload: 18 } as const;

/**
 * Encodes the envelope by hand: it is on the path of every call and has five fields. The messages
 * are `Request{service=1 method=2 payload=3 timeout_nano=4 metadata=5}` and
 * `Response{status=1 payload=2}`, with `KeyValue{key=1 value=2}` and google.rpc.Status inside.
 */
export function encodeRequest(request: TtrpcRequest): Buffer {
  const writer = protobuf.Writer.create();
  writer.uint32(requestTag.service).string(request.service);
  writer.uint32(requestTag.method).string(request.method);
  if (request.payload.byteLength > 0) writer.uint32(requestTag.payload).bytes(request.payload);
  if (request.timeoutNanos > 0) writer.uint32(requestTag.timeoutNanos).int64(request.timeoutNanos);
  for (const [key, value] of request.metadata) {
    writer
      .uint32(requestTag.metadata)
      .fork()
      .uint32(10)
      .string(key)
      .uint32(18)
      .string(value)
      .ldelim();
  }
  return asBuffer(writer.finish());
}

/** Throws a RangeError or an Error of protobufjs on malformed bytes. */
export function decodeRequest(bytes: Buffer): TtrpcRequest {
  const reader = protobuf.Reader.create(bytes);
  let service = "";
  let method = "";
  let payload: Uint8Array = Buffer.alloc(0);
  let timeoutNanos = 0;
  const metadata: [string, string][] = [];
  while (reader.pos < reader.len) {
    const tag = reader.tag();
    if (tag === requestTag.service) service = reader.string();
    else if (tag === requestTag.method) method = reader.string();
    else if (tag === requestTag.payload) payload = reader.bytes();
    else if (tag === requestTag.timeoutNanos) timeoutNanos = Number(reader.int64());
    else if (tag === requestTag.metadata) {
      // In an empty one of two bytes an array and two strings would be some hundred.
      if (metadata.length >= maxMetadata) throw new RangeError("too much metadata");
      metadata.push(decodeKeyValue(reader.bytes()));
    } else reader.skipType(tag & 7, 0, tag >>> 3);
  }
  return { service, method, payload, timeoutNanos, metadata };
}

export function encodeResponse(response: {
  readonly code: number;
  readonly message: string;
  readonly payload: Uint8Array;
}): Buffer {
  const writer = protobuf.Writer.create();
  if (response.code !== 0) {
    writer.uint32(responseTag.status).fork().uint32(8).int32(response.code);
    if (response.message !== "") writer.uint32(18).string(response.message);
    writer.ldelim();
  }
  if (response.payload.byteLength > 0) writer.uint32(responseTag.payload).bytes(response.payload);
  return asBuffer(writer.finish());
}

/** Throws a RangeError or an Error of protobufjs on malformed bytes. */
export function decodeResponse(bytes: Buffer): TtrpcResponse {
  const reader = protobuf.Reader.create(bytes);
  let status: Status = { code: 0, message: "" };
  let payload = Buffer.alloc(0);
  while (reader.pos < reader.len) {
    const tag = reader.tag();
    if (tag === responseTag.status) status = decodeStatus(reader.bytes(), status);
    else if (tag === responseTag.payload) payload = asBuffer(reader.bytes());
    else reader.skipType(tag & 7, 0, tag >>> 3);
  }
  return { ...status, payload };
}

interface Status {
  readonly code: number;
  readonly message: string;
}

/** What an earlier one in the same answer said holds, where this one is silent: protobuf merges them. */
function decodeStatus(bytes: Uint8Array, earlier: Status): Status {
  const reader = protobuf.Reader.create(bytes);
  let { code, message } = earlier;
  while (reader.pos < reader.len) {
    const tag = reader.tag();
    if (tag === 8) code = reader.int32();
    else if (tag === 18) message = reader.string();
    else reader.skipType(tag & 7, 0, tag >>> 3);
  }
  return { code, message };
}

function decodeKeyValue(bytes: Uint8Array): [string, string] {
  const reader = protobuf.Reader.create(bytes);
  const pair: [string, string] = ["", ""];
  while (reader.pos < reader.len) {
    const tag = reader.tag();
    if (tag === 10) pair[0] = reader.string();
    else if (tag === 18) pair[1] = reader.string();
    else reader.skipType(tag & 7, 0, tag >>> 3);
  }
  return pair;
}

function asBuffer(bytes: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}
