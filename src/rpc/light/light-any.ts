// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { ProtoAny, ProtoAnyInit } from "../../gen/wellknown.gen.ts";
import type { MessageName, Messages } from "../codec.ts";
import { type LightCodec, lightCodec } from "./light-codec.ts";
import { scopeOf } from "./light-types.ts";

/** `packAny` of src/rpc/codec.ts, without what that loads. */
export function packLight<K extends MessageName>(name: K, value: Messages[K]["init"]): ProtoAny {
  return { type_url: name, value: codecOf(name).encode(value) };
}

/** `unpackAny` likewise. */
export function unpackLight<K extends MessageName>(
  name: K,
  any: ProtoAnyInit | null | undefined,
): Messages[K]["out"] | undefined {
  const url = any?.type_url ?? "";
  if (url !== name && !url.endsWith(`/${name}`)) return undefined;
  try {
    return codecOf(name).decode(any?.value ?? Buffer.alloc(0)) as Messages[K]["out"];
  } catch (error) {
    throw fault("INVALID_ARGUMENT", `the bytes of a ${name} cannot be decoded`, { cause: error });
  }
}

function codecOf(name: MessageName): LightCodec {
  const scope = scopeOf(name);
  if (scope === undefined) throw new TypeError(`no such message: ${name}`);
  return lightCodec(scope);
}
