// SPDX-License-Identifier: Apache-2.0
import protobuf from "protobufjs/light.js";

/** A field whose number is none of its enum. */
export interface UnknownEnum {
  /** As the proto spells its path: `config.mounts[0].propagation`. */
  readonly field: string;
  readonly enumName: string;
  readonly value: number;
}

type Finder = (message: Readonly<Record<string, unknown>>) => UnknownEnum | undefined;

/** What finds the first such field of decoded messages of a type; undefined when no field of it is an enum. */
export function unknownEnumFinder(type: protobuf.Type): Finder | undefined {
  return finderOf(type, new Set());
}

/** `above` are the types that it is made for already: one that holds itself is looked through once. */
function finderOf(type: protobuf.Type, above: ReadonlySet<protobuf.Type>): Finder | undefined {
  if (above.has(type)) return undefined;
  const within = new Set([...above, type]);
  const finders = type.fieldsArray.flatMap((field) => {
    const { resolvedType: holds } = field.resolve();
    const inside =
      holds instanceof protobuf.Enum
        ? ofEnum(holds)
        : holds instanceof protobuf.Type
          ? ofMessage(finderOf(holds, within))
          : undefined;
    return inside ? [ofField(field, inside)] : [];
  });
  if (finders.length === 0) return undefined;
  return (message) => {
    for (const find of finders) {
      const found = find(message);
      if (found) return found;
    }
    return undefined;
  };
}

/** Looks at one value of a field; the path of what it finds continues the field's name. */
type Look = (value: unknown) => UnknownEnum | undefined;

/** A known value is its name by now. */
function ofEnum({ name }: protobuf.Enum): Look {
  return (value) => (typeof value === "number" ? { field: "", enumName: name, value } : undefined);
}

function ofMessage(find: Finder | undefined): Look | undefined {
  if (!find) return undefined;
  return (value) => {
    const found = isMessage(value) ? find(value) : undefined;
    return found && { ...found, field: `.${found.field}` };
  };
}

function ofField({ name, repeated, map }: protobuf.Field, look: Look): Finder {
  const spelled = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const under = (prefix: string, found: UnknownEnum | undefined): UnknownEnum | undefined =>
    found && { ...found, field: `${prefix}${found.field}` };
  if (!repeated && !map) return (message) => under(spelled, look(message[name]));
  return (message) => {
    for (const [key, item] of Object.entries(message[name] ?? {})) {
      const found = under(`${spelled}[${key}]`, look(item));
      if (found) return found;
    }
    return undefined;
  };
}

function isMessage(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
