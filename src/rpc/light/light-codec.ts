// SPDX-License-Identifier: Apache-2.0
import { type FieldNode, type Node, resolved, type Scope } from "./light-types.ts";
import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

type Message = Record<string, unknown>;

/** Bytes ↔ plain objects, the same as of src/rpc/codec.ts: types are looked at when the first message is read or written. */
export interface LightCodec {
  encode(value: unknown): Buffer;
  decode(bytes: Uint8Array): unknown;
}

/** A kind of single value. */
interface Kind {
  readonly wireType: 0 | 1 | 2;
  read(reader: WireReader, depth: number): unknown;
  write(writer: WireWriter, value: unknown): void;
  /** Whether a field that has it is left out. */
  isDefault(value: unknown): boolean;
  /** Of a field that is absent. */
  initial(): unknown;
}

interface Field {
  readonly name: string;
  readonly id: number;
  readonly shape: "one" | "many" | "map";
  readonly kind: Kind;
  readonly key: Kind | undefined;
  /** Absent where it is not set. */
  readonly isOptional: boolean;
}

const maxDepth = 100;
const plans = new Map<Node, LightType>();

export function lightCodec(scope: Scope): LightCodec {
  const type = typeOf(scope);
  return {
    encode: (value) => type.encode(value as Message),
    decode: (bytes) => type.decode(new WireReader(bytes), 0),
  };
}

function typeOf(scope: Scope): LightType {
  const node = scope.at(-1) as Node;
  let plan = plans.get(node);
  if (plan === undefined) {
    plan = new LightType(scope);
    plans.set(node, plan);
  }
  return plan;
}

class LightType {
  readonly #scope: Scope;
  #fields: readonly Field[] | undefined;
  readonly #byId = new Map<number, Field>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  encode(message: Message): Buffer {
    const writer = new WireWriter();
    for (const field of this.#all().toSorted((a, b) => a.id - b.id)) {
      const value = message[field.name];
      if (value === undefined || value === null) continue;
      if (field.shape === "map") writeMap(writer, field, value as Message);
      else if (field.shape === "many") writeMany(writer, field, value as readonly unknown[]);
      else if (field.isOptional || !field.kind.isDefault(value)) writeOne(writer, field, value);
    }
    return writer.finish();
  }

  decode(reader: WireReader, depth: number): Message {
    if (depth > maxDepth) throw new RangeError("messages in messages, too deep");
    const message: Message = {};
    for (const field of this.#all()) {
      if (field.shape === "many") message[field.name] = [];
      else if (field.shape === "map") message[field.name] = {};
      else if (!field.isOptional) message[field.name] = field.kind.initial();
    }
    while (!reader.isAtEnd) {
      const tag = reader.uint32();
      const field = this.#byId.get(tag >>> 3);
      const from = { reader, wireType: tag & 7, depth: depth + 1 };
      if (field === undefined || !readInto(message, field, from)) reader.skip(tag & 7);
    }
    return message;
  }

  /** In the order in which objects have them: lists, maps, and the others, each by number. */
  #all(): readonly Field[] {
    if (this.#fields !== undefined) return this.#fields;
    const { fields = {}, oneofs = {} } = this.#scope.at(-1) as Node;
    const optional = new Set(Object.values(oneofs).flatMap(({ oneof }) => oneof));
    const made = Object.entries(fields).map(([name, node]) =>
      fieldOf(this.#scope, name, node, optional.has(name)),
    );
    const shapes = ["many", "map", "one"];
    made.sort((a, b) => shapes.indexOf(a.shape) - shapes.indexOf(b.shape) || a.id - b.id);
    for (const field of made) this.#byId.set(field.id, field);
    this.#fields = made;
    return made;
  }
}

function fieldOf(scope: Scope, name: string, node: FieldNode, isOptional: boolean): Field {
  const { id, type, rule, keyType } = node;
  return {
    name,
    id,
    shape: keyType !== undefined ? "map" : rule === "repeated" ? "many" : "one",
    kind: scalars[type] ?? kindOf(resolved(scope, type)),
    key: keyType === undefined ? undefined : scalars[keyType],
    isOptional,
  };
}

/** A value in the bytes of a message, and how deep that is in others. */
interface Place {
  readonly reader: WireReader;
  readonly wireType: number;
  readonly depth: number;
}

/** Whether the bytes were the field's; false for one of another wire type. */
function readInto(message: Message, field: Field, { reader, wireType, depth }: Place): boolean {
  const { name, shape, kind } = field;
  if (shape === "map") {
    if (wireType !== 2) return false;
    reader.within(() => readEntry(message[name] as Message, field, reader, depth));
  } else if (shape === "many" && wireType === 2 && kind.wireType !== 2) {
    const list = message[name] as unknown[];
    reader.within(() => {
      while (!reader.isAtEnd) list.push(kind.read(reader, depth));
    });
  } else if (wireType !== kind.wireType) {
    return false;
  } else if (shape === "many") {
    (message[name] as unknown[]).push(kind.read(reader, depth));
  } else {
    message[name] = kind.read(reader, depth);
  }
  return true;
}

function readEntry(map: Message, { key, kind }: Field, reader: WireReader, depth: number): void {
  let name: unknown = key?.initial();
  let value: unknown = kind.initial();
  while (!reader.isAtEnd) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1 && (tag & 7) === key?.wireType) name = key.read(reader, depth);
    else if (tag >>> 3 === 2 && (tag & 7) === kind.wireType) value = kind.read(reader, depth);
    else reader.skip(tag & 7);
  }
  // Names are others': "__proto__" is one like any.
  Object.defineProperty(map, String(name), {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function writeOne(writer: WireWriter, { id, kind }: Pick<Field, "id" | "kind">, value: unknown) {
  writer.uint(id * 8 + kind.wireType);
  kind.write(writer, value);
}

function writeMany(writer: WireWriter, field: Field, values: readonly unknown[]): void {
  if (field.kind.wireType === 2) {
    for (const value of values) writeOne(writer, field, value);
  } else if (values.length > 0) {
    const packed = new WireWriter();
    for (const value of values) field.kind.write(packed, value);
    writer.uint(field.id * 8 + 2);
    writer.bytes(packed.finish());
  }
}

function writeMap(writer: WireWriter, { id, key, kind }: Field, map: Message): void {
  for (const [name, value] of Object.entries(map)) {
    const entry = new WireWriter();
    if (key !== undefined) writeOne(entry, { id: 1, kind: key }, name);
    writeOne(entry, { id: 2, kind }, value);
    writer.uint(id * 8 + 2);
    writer.bytes(entry.finish());
  }
}

function kindOf(scope: Scope): Kind {
  const { values } = scope.at(-1) as Node;
  return values === undefined ? messageKind(scope) : enumKind(values);
}

function messageKind(scope: Scope): Kind {
  const type = typeOf(scope);
  return {
    wireType: 2,
    read: (reader, depth) => reader.within(() => type.decode(reader, depth)),
    write: (writer, value) => writer.bytes(type.encode(value as Message)),
    isDefault: () => false,
    initial: () => null,
  };
}

/** By name; a number that has none stays a number. */
function enumKind(values: Readonly<Record<string, number>>): Kind {
  const names = new Map(Object.entries(values).map(([name, value]) => [value, name]));
  const numberOf = (value: unknown): number =>
    typeof value === "number" ? value : (values[String(value)] ?? 0);
  return {
    wireType: 0,
    read: (reader) => {
      const value = reader.uint32() | 0;
      return names.get(value) ?? value;
    },
    write: (writer, value) => writer.long(BigInt(numberOf(value))),
    isDefault: (value) => numberOf(value) === 0,
    initial: () => names.get(0),
  };
}

const number = (read: (value: number) => number): Kind => ({
  wireType: 0,
  read: (reader) => read(reader.uint32()),
  write: (writer, value) => writer.long(BigInt(read(Number(value)))),
  isDefault: (value) => Number(value) === 0,
  initial: () => 0,
});

const long = (read: (bits: 64, value: bigint) => bigint): Kind => ({
  wireType: 0,
  read: (reader) => read(64, reader.uint64()),
  write: (writer, value) => writer.long(BigInt(value as bigint | number)),
  isDefault: (value) => Number(value) === 0,
  initial: () => 0n,
});

const scalars: Readonly<Record<string, Kind>> = {
  bool: {
    wireType: 0,
    read: (reader) => reader.uint64() !== 0n,
    write: (writer, value) => writer.uint(value === true ? 1 : 0),
    isDefault: (value) => value === false,
    initial: () => false,
  },
  int32: number((value) => value | 0),
  uint32: number((value) => value >>> 0),
  int64: long((bits, value) => BigInt.asIntN(bits, value)),
  uint64: long((bits, value) => BigInt.asUintN(bits, value)),
  double: {
    wireType: 1,
    read: (reader) => reader.double(),
    write: (writer, value) => writer.double(Number(value)),
    isDefault: (value) => Object.is(value, 0),
    initial: () => 0,
  },
  string: {
    wireType: 2,
    read: (reader) => reader.string(),
    write: (writer, value) => writer.bytes(Buffer.from(String(value))),
    isDefault: (value) => value === "",
    initial: () => "",
  },
  bytes: {
    wireType: 2,
    read: (reader) => reader.bytes(),
    write: (writer, value) => writer.bytes(value as Uint8Array),
    isDefault: (value) => (value as Uint8Array).length === 0,
    initial: () => Buffer.alloc(0),
  },
};
