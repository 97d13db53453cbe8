// SPDX-License-Identifier: Apache-2.0
import protobuf from "protobufjs/light.js";
import { codec, type MessageName, type Messages, messageType } from "./codec.ts";

/** Larger messages are encoded anew each time: what is kept doubles what a value takes. */
const mostKeptBytes = 16 * 1024;

/**
 * The encoded form of values that never change, each kept for as long as the value is. `toMessage` is pure, and
 * looks at nothing but the value.
 */
export class KeptEncodings<T extends object> {
  readonly #message: MessageName;
  readonly #toMessage: (value: T) => object;
  readonly #kept = new WeakMap<T, Buffer>();

  constructor(message: MessageName, toMessage: (value: T) => object) {
    this.#message = message;
    this.#toMessage = toMessage;
  }

  of(value: T): Buffer {
    const kept = this.#kept.get(value);
    if (kept) return kept;
    const bytes = codec(this.#message).encode(this.#toMessage(value));
    if (bytes.length > mostKeptBytes) return bytes;
    // Not of Node's pool: what is kept must not hold the 64 KiB that it is cut from.
    const own = Buffer.allocUnsafeSlow(bytes.length);
    own.set(bytes);
    this.#kept.set(value, own);
    return own;
  }
}

/** Fields of a message that are messages, or lists of them, encoded already. */
export type EncodedFields<K extends MessageName> = {
  readonly [F in keyof Messages[K]["init"] & string]?: Uint8Array | readonly Uint8Array[];
};

type Fields = Readonly<Record<string, Uint8Array | readonly Uint8Array[] | undefined>>;

interface FieldShape {
  readonly tag: number;
  readonly type: MessageName;
  readonly isList: boolean;
}

interface Field extends FieldShape {
  readonly items: readonly Uint8Array[];
}

/** By the message's name, a dot, and the field's. */
const shapes = new Map<string, FieldShape>();

/** A message of which some fields, messages or lists of messages, are encoded already. */
export class EncodedMessage {
  readonly #fields: readonly Field[];
  readonly #rest: Uint8Array;

  private constructor(fields: readonly Field[], rest: Uint8Array) {
    this.#fields = fields;
    this.#rest = rest;
  }

  /**
   * The message as a handler answers it. Over gRPC the bytes of `fields` go out as they are, in their order here, and
   * `rest`, which has the other fields, after them; who reads a field gets it decoded. Fields beyond the fifteenth,
   * whose tags have two bytes, are for `rest`.
   */
  static of<K extends MessageName>(
    message: K,
    fields: EncodedFields<K>,
    rest?: Messages[K]["init"],
  ): Messages[K]["init"] {
    const bytes = rest === undefined ? none : codec(message).encode(rest);
    const found: Field[] = [];
    const answer = Object.assign(new EncodedMessage(found, bytes), rest);
    for (const [name, value] of Object.entries(fields as Fields)) {
      if (value === undefined) continue;
      const shape = shapeOf(message, name);
      const items = value instanceof Uint8Array ? [value] : value;
      if (shape.isList === value instanceof Uint8Array) throw notEncodable(message, name);
      found.push({ ...shape, items });
      const decode = (): unknown[] => items.map((item) => codec(shape.type).decode(item));
      const get = shape.isList ? decode : () => decode()[0];
      Object.defineProperty(answer, name, { enumerable: true, get });
    }
    return answer;
  }

  /** The message of which `field` is all that is set: a list. */
  static list<K extends MessageName, F extends keyof Messages[K]["init"] & string>(
    message: K,
    field: F,
    items: readonly Uint8Array[],
  ): Messages[K]["init"] {
    const fields: Readonly<Record<string, readonly Uint8Array[]>> = { [field]: items };
    return EncodedMessage.of(message, fields as EncodedFields<K>);
  }

  /** How long the message is, in bytes. */
  get length(): number {
    let length = this.#rest.length;
    for (const { items } of this.#fields) {
      for (const item of items) length += 1 + varintLength(item.length) + item.length;
    }
    return length;
  }

  /** The message. */
  encode(): Buffer {
    const bytes = Buffer.allocUnsafe(this.length);
    let at = 0;
    for (const { tag, items } of this.#fields) {
      for (const item of items) {
        bytes[at++] = tag;
        at = writeVarint(bytes, at, item.length);
        bytes.set(item, at);
        at += item.length;
      }
    }
    bytes.set(this.#rest, at);
    return bytes;
  }
}

const none = new Uint8Array(0);

function shapeOf(message: MessageName, name: string): FieldShape {
  const path = `${message}.${name}`;
  let shape = shapes.get(path);
  if (shape === undefined) {
    const field = messageType(message)?.fields[name];
    const type = field?.resolvedType instanceof protobuf.Type ? field.resolvedType : undefined;
    if (!field || !type || field.map || field.id > 15) throw notEncodable(message, name);
    shape = {
      tag: (field.id << 3) | 2,
      type: type.fullName.replace(/^\./, "") as MessageName,
      isList: field.repeated,
    };
    shapes.set(path, shape);
  }
  return shape;
}

function notEncodable(message: MessageName, name: string): TypeError {
  return new TypeError(`${message}.${name} is no message, or list of messages, with a short tag`);
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) length += 1;
  return length;
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes[at++] = (rest & 127) | 128;
  bytes[at++] = rest;
  return at;
}
