// SPDX-License-Identifier: Apache-2.0
import type { ProtoAny } from "../gen/wellknown.gen.ts";
import { codecNamed } from "../rpc/codec.ts";
import type { EventEnvelope } from "./ports.ts";

const decoded = new WeakMap<ProtoAny, Record<string, unknown> | null>();

/** What a filter sees of an event: `namespace`, `topic`, and `event.` with a field of the message. */
export function eventField(envelope: EventEnvelope, path: readonly string[]): string | undefined {
  const [head, ...rest] = path;
  if (head === "namespace") return rest.length === 0 ? envelope.namespace : undefined;
  if (head === "topic") return rest.length === 0 ? envelope.topic : undefined;
  if (head !== "event") return undefined;
  return textOf(valueAt(decodeEvent(envelope.event), rest));
}

/** The event's message; null for a type that is not in proto/. Decoded once for all subscribers. */
export function decodeEvent(any: ProtoAny): Record<string, unknown> | null {
  let message = decoded.get(any);
  if (message === undefined) {
    message = decode(any);
    decoded.set(any, message);
  }
  return message;
}

/** null for a type that is not in proto/, or when the bytes are no such message. */
function decode(any: ProtoAny): Record<string, unknown> | null {
  try {
    const name = any.type_url.slice(any.type_url.lastIndexOf("/") + 1);
    const message = codecNamed(name)?.decode(any.value) ?? null;
    return message as Record<string, unknown> | null;
  } catch {
    return null;
  }
}

function valueAt(message: unknown, path: readonly string[]): unknown {
  let value = message;
  for (const [index, part] of path.entries()) {
    if (typeof value !== "object" || value === null) return undefined;
    const fields = value as Record<string, unknown>;
    // Filters name fields as the .proto does; decoded messages have them in camel case. Keys of a
    // map (labels) are taken as they are, dots and all.
    const name = part.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    const remaining = path.slice(index).join(".");
    if (Object.hasOwn(fields, remaining)) return fields[remaining];
    value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  }
  return value;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
    return String(value);
  }
  return undefined;
}
