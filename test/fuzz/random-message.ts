// SPDX-License-Identifier: Apache-2.0
import protobuf from "protobufjs";
import { rootOf } from "../support/whole-roots.ts";
import type { ByteSource } from "./byte-source.ts";

/** Makes a text for a field; undefined for any text. */
export type FieldText = (field: string) => string | undefined;

const maxDepth = 6;
const maxItems = 3;

/** A message that is valid by its descriptor, with fields that the source chooses. */
export function randomMessage(
  source: ByteSource,
  name: string,
  textOf: FieldText = () => undefined,
): Record<string, unknown> {
  const type = rootOf(name).lookupType(name);
  return messageOf(source, type, textOf, 0);
}

function messageOf(
  source: ByteSource,
  type: protobuf.Type,
  textOf: FieldText,
  depth: number,
): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    // Of what is deep half is left out, of the top a quarter: a request without its parts is soon refused.
    if (source.left === 0 || source.below(4) < (depth === 0 ? 1 : 2)) continue;
    message[field.name] = fieldOf(source, field.resolve(), textOf, depth);
  }
  return message;
}

function fieldOf(
  source: ByteSource,
  field: protobuf.Field,
  textOf: FieldText,
  depth: number,
): unknown {
  const value = (): unknown => valueOf(source, field, textOf, depth);
  if (field instanceof protobuf.MapField)
    return Object.fromEntries(
      source.list(maxItems, () => [String(keyOf(source, field, textOf)), value()]),
    );
  return field.repeated ? source.list(maxItems, value) : value();
}

function keyOf(source: ByteSource, field: protobuf.MapField, textOf: FieldText): unknown {
  return field.keyType === "string" ? anyText(source, field.name, textOf) : source.below(256);
}

function valueOf(
  source: ByteSource,
  { name, type, resolvedType }: protobuf.Field,
  textOf: FieldText,
  depth: number,
): unknown {
  if (resolvedType instanceof protobuf.Enum)
    return source.below(5) === 0
      ? source.below(256)
      : source.pick(Object.keys(resolvedType.values));
  if (resolvedType instanceof protobuf.Type)
    return depth < maxDepth ? messageOf(source, resolvedType, textOf, depth + 1) : {};
  switch (type) {
    case "string":
      return anyText(source, name, textOf);
    case "bytes":
      return source.bytes(32);
    case "bool":
      return source.bool();
    case "double":
    case "float":
      return source.below(1000) / 8;
    case "int64":
    case "sint64":
    case "sfixed64":
      return source.signed();
    case "uint64":
    case "fixed64":
      return source.unsigned();
    case "uint32":
    case "fixed32":
      return Number(BigInt.asUintN(32, source.unsigned()));
    default:
      return Number(BigInt.asIntN(32, source.signed()));
  }
}

const texts = [
  "",
  "a",
  "default",
  "k8s.io",
  "..",
  "../../x",
  "a/b",
  "é",
  "\0",
  "__proto__",
  "constructor",
  "-1",
  "99999999999999999999",
  "x".repeat(300),
];

function anyText(source: ByteSource, field: string, textOf: FieldText): string {
  return textOf(field) ?? (source.bool() ? source.pick(texts) : source.text(24));
}

/** The full name of what a method takes. */
export function requestName(service: string, method: string): string {
  const found = rootOf(service).lookupService(service).methods[method];
  found?.resolve();
  return found?.resolvedRequestType?.fullName.slice(1) ?? "";
}
