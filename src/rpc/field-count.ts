// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";
import protobuf from "protobufjs/light.js";

/** What becomes of a field: an object or a text, twice while it is decoded. */
const bytesAField = 512;
/** A config at all its limits has some 60,000. */
const leastMost = 100_000;
const maxDepth = 64;

/** How many fields a message may have, by the heap that they must fit into. */
export const maxFields = Math.max(
  leastMost,
  Math.floor(v8.getHeapStatistics().heap_size_limit / 2 / bytesAField),
);

/**
 * How many fields an encoded message has, those of messages inside it included; it stops counting above
 * `most`. Two bytes are a field, and may become an object of a hundred: whoever decodes 16 MiB of them has
 * a gigabyte. Malformed bytes end the count: decoding finds them.
 */
export function countFields(type: protobuf.Type, bytes: Uint8Array, most: number): number {
  const count = { reader: protobuf.Reader.create(bytes), fields: 0, most };
  try {
    countInto(type, count, bytes.length, 0);
  } catch {
    // As far as it could be read.
  }
  return count.fields;
}

function countInto(
  type: protobuf.Type | null,
  count: { readonly reader: protobuf.Reader; fields: number; readonly most: number },
  end: number,
  depth: number,
): void {
  const { reader } = count;
  while (reader.pos < end && count.fields <= count.most) {
    const tag = reader.uint32();
    count.fields += 1;
    const field = type?.fieldsById[tag >>> 3];
    const isNested = (tag & 7) === 2 && field !== undefined && depth < maxDepth;
    if (isNested && field.map) {
      // An entry: its key and its value.
      count.fields += 1;
      reader.skipType(tag & 7);
    } else if (isNested && field.resolvedType instanceof protobuf.Type) {
      const length = reader.uint32();
      countInto(field.resolvedType, count, reader.pos + length, depth + 1);
    } else if (isNested && field.repeated && field.type in protobuf.types.packed) {
      const length = reader.uint32();
      count.fields += length;
      reader.skip(length);
    } else reader.skipType(tag & 7);
  }
}
