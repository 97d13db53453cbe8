// SPDX-License-Identifier: Apache-2.0
import protobuf from "protobufjs";
import { fault } from "../base/errors.ts";
import { descriptor as containerdDescriptor } from "../gen/containerd-descriptor.gen.js";
import type { ContainerdMessages } from "../gen/containerd-index.gen.ts";
import { descriptor as criDescriptor } from "../gen/cri-descriptor.gen.js";
import type { CriMessages } from "../gen/cri-index.gen.ts";
import { descriptor as nriDescriptor } from "../gen/nri-descriptor.gen.js";
import type { NriMessages } from "../gen/nri-index.gen.ts";
import type { ProtoAny, ProtoAnyInit } from "../gen/wellknown.gen.ts";
import { countFields } from "./field-count.ts";

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

let criRoot: protobuf.Root | undefined;
let nriRoot: protobuf.Root | undefined;
let containerdRoot: protobuf.Root | undefined;
/** Twice what the longest of ours has. */
const longestName = 256;
const codecs = new Map<string, Codec<unknown, unknown>>();

/** The reflected tree that holds `fullName`; used to enumerate services and their methods. */
export function rootOf(fullName: string): protobuf.Root {
  if (fullName.startsWith("runtime.v1.")) return (criRoot ??= loadRoot(criDescriptor));
  if (fullName.startsWith("nri.pkg.api.v1alpha1.")) return (nriRoot ??= loadRoot(nriDescriptor));
  return (containerdRoot ??= loadRoot(containerdDescriptor));
}

function loadRoot(descriptor: protobuf.INamespace): protobuf.Root {
  const root = protobuf.Root.fromJSON(descriptor);
  root.resolveAll();
  return root;
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
    const type = typeNamed(name);
    if (!type) return undefined;
    known = makeCodec(type);
    codecs.set(name, known);
  }
  return known;
}

/** By its full name only, step by step: protobufjs' own search finds parts of names too, and keeps each that it does not find. */
function typeNamed(name: string): protobuf.Type | undefined {
  if (name.length > longestName) return undefined;
  let at: protobuf.ReflectionObject | null = rootOf(name);
  for (const part of name.split(".")) {
    if (!(at instanceof protobuf.Namespace)) return undefined;
    at = at.get(part);
  }
  return at instanceof protobuf.Type ? at : undefined;
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
