// SPDX-License-Identifier: Apache-2.0
import { codec, type MessageName, type Messages, rootOf } from "./codec.ts";

/** Larger items are encoded anew each time: what is kept doubles what an item takes. */
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
    // A buffer of its own: one that is kept must not hold a larger one.
    const own = Buffer.from(bytes);
    this.#kept.set(value, own);
    return own;
  }
}

/** A message whose only field that is set is a repeated one, of items that are encoded already. */
export class EncodedList {
  readonly #tag: number;
  readonly #items: readonly Uint8Array[];

  private constructor(tag: number, items: readonly Uint8Array[]) {
    this.#tag = tag;
    this.#items = items;
  }

  /**
   * The list as a handler answers it. Over gRPC its bytes go out as they are; who reads the field gets the items
   * decoded. Fields beyond the sixteenth, whose tags have two bytes, have no lists.
   */
  static of<K extends MessageName, F extends keyof Messages[K]["init"] & string>(
    message: K,
    field: F,
    items: readonly Uint8Array[],
  ): Messages[K]["init"] {
    const { id, type } = fieldOf(message, field);
    const list = new EncodedList((id << 3) | 2, items);
    return Object.defineProperty(list, field, {
      enumerable: true,
      get: () => items.map((bytes) => codec(type).decode(bytes)),
    }) as Messages[K]["init"];
  }

  /** How long the message is, in bytes. */
  get length(): number {
    let length = 0;
    for (const item of this.#items) length += 1 + varintLength(item.length) + item.length;
    return length;
  }

  /** The message. */
  encode(): Buffer {
    const bytes = Buffer.allocUnsafe(this.length);
    let at = 0;
    for (const item of this.#items) {
      bytes[at++] = this.#tag;
      at = writeVarint(bytes, at, item.length);
      bytes.set(item, at);
      at += item.length;
    }
    return bytes;
  }
}

function fieldOf(message: MessageName, name: string): { id: number; type: MessageName } {
  const field = rootOf(message).lookupType(message).fields[name];
  const type = field?.resolvedType?.fullName.replace(/^\./, "");
  if (!field?.repeated || type === undefined || field.id > 15) {
    throw new TypeError(`${message}.${name} is no list of messages with a short tag`);
  }
  return { id: field.id, type: type as MessageName };
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
