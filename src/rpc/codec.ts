// SPDX-License-Identifier: Apache-2.0
import type protobuf from "protobufjs";
import { fault } from "../base/errors.ts";
import { descriptor as containerdDescriptor } from "../gen/containerd-descriptor.gen.js";
import type { ContainerdMessages } from "../gen/containerd-index.gen.ts";
import { descriptor as criDescriptor } from "../gen/cri-descriptor.gen.js";
import type { CriMessages } from "../gen/cri-index.gen.ts";
import { descriptor as nriDescriptor } from "../gen/nri-descriptor.gen.js";
import type { NriMessages } from "../gen/nri-index.gen.ts";
import type { ProtoAny, ProtoAnyInit } from "../gen/wellknown.gen.ts";
import { countFields } from "./field-count.ts";
import type { ServiceName } from "./service.ts";
import { type MethodShape, TypeTree } from "./type-tree.ts";

/** Every message of all trees, by full name: `out` is what decoding gives, `init` what encoding takes. */
export type Messages = ContainerdMessages & CriMessages & NriMessages;
export type MessageName = keyof Messages & string;

/** Bytes ↔ plain objects for one message type. */
export interface Codec<Out, Init> {
  encode(value: Init): Buffer;
  /** Throws protobufjs' own error on malformed bytes; callers at a boundary turn it into a fault. */
  decode(bytes: Uint8Array): Out;
  /** How many fields encoded bytes have, those of nested messages too, as far as `most`. */
  countFields(bytes: Uint8Array, most: number): number;
  /** The complete object that `decode(encode(value))` would give, without the bytes between. */
  normalize(value: Init): Out;
}

// protobufjs types `longs` as a function that returns number or string; BigInt works and is documented.
const reading = {
  longs: BigInt,
  enums: String,
  bytes: Buffer,
  defaults: true,
  arrays: true,
  objects: true,
} as unknown as protobuf.IConversionOptions;

const trees = {
  cri: new TypeTree(criDescriptor),
  nri: new TypeTree(nriDescriptor),
  containerd: new TypeTree(containerdDescriptor),
};
const codecs = new Map<string, Codec<unknown, unknown>>();
const shapes = new Map<ServiceName, readonly MethodShape[]>();

function treeOf(fullName: string): TypeTree {
  if (fullName.startsWith("runtime.v1.")) return trees.cri;
  return fullName.startsWith("nri.pkg.api.v1alpha1.") ? trees.nri : trees.containerd;
}

/** The methods of a service, in the order of its .proto file; looked up once, since each shim is a client of one. */
export function methodShapes(service: ServiceName): readonly MethodShape[] {
  const known = shapes.get(service) ?? treeOf(service).methods(service);
  shapes.set(service, known);
  return known;
}

/** A message as protobufjs has it, by its full name; undefined when there is none. Nothing is kept of the name. */
export function messageType(name: string): protobuf.Type | undefined {
  return treeOf(name).type(name);
}

/** The codec of a message by its full proto name. Cheap to call again: codecs are made once. */
export function codec<K extends MessageName>(
  name: K,
): Codec<Messages[K]["out"], Messages[K]["init"]> {
  const known = codecNamed(name);
  if (!known) throw new Error(`no such message: ${name}`);
  return known as Codec<Messages[K]["out"], Messages[K]["init"]>;
}

/** The codec of a message that somebody else has named; undefined when there is no such message. Nothing is kept of the name. */
export function codecNamed(name: string): Codec<unknown, unknown> | undefined {
  let known = codecs.get(name);
  if (!known) {
    const type = messageType(name);
    if (!type) return undefined;
    known = makeCodec(type);
    codecs.set(name, known);
  }
  return known;
}

function makeCodec(type: protobuf.Type): Codec<unknown, unknown> {
  // Always fromObject first: encode() alone writes 0 for a bigint, silently (protobufjs 8.8).
  return {
    encode: (value) => {
      const bytes = type.encode(type.fromObject(value as Record<string, unknown>)).finish();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    countFields: (bytes, most) => countFields(type, bytes, most),
    decode: (bytes) => type.toObject(type.decode(bytes), reading),
    normalize: (value) => type.toObject(type.fromObject(value as Record<string, unknown>), reading),
  };
}

/** An Any whose type_url is the bare full name, as containerd writes its own messages. */
export function packAny<K extends MessageName>(name: K, value: Messages[K]["init"]): ProtoAny {
  return { type_url: name, value: codec(name).encode(value) };
}

/**
 * The message inside an Any, or undefined when the Any holds another type. Any host prefix is accepted.
 * INVALID_ARGUMENT when its bytes are no such message: its sender made them.
 */
export function unpackAny<K extends MessageName>(
  name: K,
  any: ProtoAnyInit | null | undefined,
): Messages[K]["out"] | undefined {
  if (!any?.type_url) return undefined;
  const url = any.type_url;
  if (url !== name && !url.endsWith(`/${name}`)) return undefined;
  try {
    return codec(name).decode(any.value ?? Buffer.alloc(0));
  } catch (error) {
    throw fault("INVALID_ARGUMENT", `the bytes of a ${name} cannot be decoded`, { cause: error });
  }
}
