// SPDX-License-Identifier: Apache-2.0
import {
  array,
  type DbusValue,
  DbusWriter,
  objectPath,
  signature,
  string,
  struct,
  variant,
} from "./dbus-values.ts";

/** Kinds of messages, as their second byte has them. */
export const messageType = { call: 1, answer: 2, error: 3, signal: 4 } as const;

/** Header fields, as the wire numbers them. Exported for tests. */
export const field = {
  path: 1,
  interface: 2,
  member: 3,
  errorName: 4,
  replySerial: 5,
  destination: 6,
  sender: 7,
  signature: 8,
} as const;

export interface DbusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly body: readonly DbusValue[];
}

type Plain = string | number | bigint | boolean;

export interface DbusMessage {
  readonly type: number;
  /** Of an answer and an error: the call's serial number. */
  readonly replySerial: number;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly errorName: string;
  readonly sender: string;
  /** Up to the first that has parts: nothing that is asked for here has any. */
  readonly body: readonly Plain[];
}

/** Fixed part of a header: byte order, type, flags, version, and three numbers. */
export const fixedBytes = 16;

/** Numbers of header fields, and what each of them says. */
type HeaderFields = readonly (readonly [number, DbusValue])[];

export function encodeCall(serial: number, call: DbusCall): Buffer {
  const fields: [number, DbusValue][] = [
    [field.path, objectPath(call.path)],
    [field.interface, string(call.interface)],
    [field.member, string(call.member)],
  ];
  // A connection without a bus has one peer, which has no name.
  if (call.destination !== "") fields.push([field.destination, string(call.destination)]);
  return encodeMessage(messageType.call, serial, fields, call.body);
}

/** Exported for tests, which answer. */
export function encodeMessage(
  type: number,
  serial: number,
  fields: HeaderFields,
  values: readonly DbusValue[],
): Buffer {
  const body = new DbusWriter();
  for (const value of values) value.write(body);
  const types = values.map((value) => value.signature).join("");
  const all: HeaderFields =
    types === "" ? fields : [...fields, [field.signature, signature(types)]];
  const message = new DbusWriter();
  for (const byte of ["l".charCodeAt(0), type, 0, 1]) message.byte(byte);
  message.uint32(body.length);
  message.uint32(serial);
  array(
    { signature: "(yv)", alignment: 8 },
    all.map(([number, value]) => struct(numberOf(number), variant(value))),
  ).write(message);
  message.align(8);
  message.raw(body.bytes());
  return message.bytes();
}

function numberOf(number: number): DbusValue {
  return { signature: "y", alignment: 1, write: (to) => to.byte(number) };
}

/** How long a message is whose fixed part these bytes begin with. RangeError for what is none. */
export function messageBytes(header: Buffer): number {
  const isLittle = byteOrder(header);
  if (header.readUInt8(3) !== 1) throw new RangeError("no D-Bus of version 1");
  const read = (at: number): number =>
    isLittle ? header.readUInt32LE(at) : header.readUInt32BE(at);
  const [body, fields] = [read(4), read(12)];
  if (fields > 2 ** 26 || body > 2 ** 27)
    throw new RangeError("longer than a D-Bus message may be");
  return fixedBytes + Math.ceil(fields / 8) * 8 + body;
}

/** Reads a whole message. RangeError for one that is damaged, or has a header that nobody needs. */
export function parseMessage(bytes: Buffer): DbusMessage {
  const reader = new Reader(bytes, byteOrder(bytes));
  const type = bytes.readUInt8(1);
  reader.at = 12;
  const fieldsEnd = fixedBytes + reader.uint32();
  const fields = new Map<number, Plain>();
  while (reader.at < fieldsEnd) {
    reader.align(8);
    const number = reader.byte();
    fields.set(number, reader.plain(reader.signature()));
  }
  const text = (number: number): string => {
    const value = fields.get(number);
    return typeof value === "string" ? value : "";
  };
  reader.at = fieldsEnd;
  reader.align(8);
  const body: Plain[] = [];
  for (const each of text(field.signature)) {
    if (!plainTypes.includes(each)) break;
    body.push(reader.plain(each));
  }
  return {
    type,
    replySerial: Number(fields.get(field.replySerial) ?? 0),
    path: text(field.path),
    interface: text(field.interface),
    member: text(field.member),
    errorName: text(field.errorName),
    sender: text(field.sender),
    body,
  };
}

const plainTypes = "ybuhtsog";

class Reader {
  at = 0;
  readonly #bytes: Buffer;
  readonly #isLittle: boolean;

  constructor(bytes: Buffer, isLittle: boolean) {
    this.#bytes = bytes;
    this.#isLittle = isLittle;
  }

  align(to: number): void {
    this.at = Math.ceil(this.at / to) * to;
  }

  byte(): number {
    const value = this.#bytes.readUInt8(this.at);
    this.at += 1;
    return value;
  }

  uint32(): number {
    this.align(4);
    const at = this.at;
    this.at += 4;
    return this.#isLittle ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }

  signature(): string {
    return this.#text(this.byte());
  }

  /** A value of a type without parts. */
  plain(type: string): Plain {
    switch (type) {
      case "y":
        return this.byte();
      case "b":
        return this.uint32() !== 0;
      case "u":
      case "h":
        return this.uint32();
      case "t": {
        this.align(8);
        const at = this.at;
        this.at += 8;
        return this.#isLittle ? this.#bytes.readBigUInt64LE(at) : this.#bytes.readBigUInt64BE(at);
      }
      case "s":
      case "o":
        return this.#text(this.uint32());
      case "g":
        return this.signature();
      default:
        throw new RangeError("a type that is not understood");
    }
  }

  #text(length: number): string {
    const end = this.at + length;
    if (end >= this.#bytes.byteLength) throw new RangeError("a text ends behind its message");
    const value = this.#bytes.toString("utf8", this.at, end);
    this.at = end + 1;
    return value;
  }
}

function byteOrder(bytes: Buffer): boolean {
  const mark = bytes.readUInt8(0);
  if (mark !== "l".charCodeAt(0) && mark !== "B".charCodeAt(0)) throw new RangeError("no D-Bus");
  return mark === "l".charCodeAt(0);
}
