// SPDX-License-Identifier: Apache-2.0
// The light codec against protobufjs', over every message that there is.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import { rootOf } from "../../../test/support/whole-roots.ts";
import { codecNamed } from "../codec.ts";
import { lightCodec } from "./light-codec.ts";
import { scopeOf } from "./light-types.ts";

const roots = ["runtime.v1.RuntimeService", "containerd.services.tasks.v1.Tasks"].map(rootOf);
const types = roots.flatMap((root) => [...typesIn(root)]);

function* typesIn(node: protobuf.NamespaceBase): Generator<protobuf.Type> {
  if (node instanceof protobuf.Type) yield node;
  for (const inner of node.nestedArray) {
    if (inner instanceof protobuf.Namespace) yield* typesIn(inner);
  }
}

/** A message of a type, as its users write one. */
function messageOf(type: protobuf.Type, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const fields = type.fieldsArray.flatMap((field) => {
    const one = valueOf(field, depth);
    if (one === undefined) return [];
    if (field.map) return [[field.name, fc.dictionary(keyOf(field), one, { maxKeys: 3 })] as const];
    return [[field.name, field.repeated ? fc.array(one, { maxLength: 3 }) : one] as const];
  });
  return fc.record(Object.fromEntries(fields), { requiredKeys: [] });
}

function keyOf(field: protobuf.Field): fc.Arbitrary<string> {
  const { keyType } = field as unknown as protobuf.MapField;
  return keyType === "string" ? fc.string() : fc.integer().map(String);
}

function valueOf(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> | undefined {
  const { resolvedType: inner } = field.resolve();
  if (inner instanceof protobuf.Enum) return fc.constantFrom(...Object.keys(inner.values));
  if (inner !== null) return depth > 3 ? undefined : messageOf(inner, depth + 1);
  const known: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
    bool: fc.boolean(),
    bytes: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    double: fc.double(),
    int32: fc.integer(),
    uint32: fc.nat(),
    int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    string: fc.string({ unit: "grapheme" }),
  };
  return known[field.type];
}

test("every message of every service comes back as from protobufjs, in the same order of fields", () => {
  assert.ok(types.length > 300, `${types.length} types`);
  for (const type of types) {
    const name = type.fullName.slice(1);
    const scope = scopeOf(name);
    const reference = codecNamed(name);
    assert.ok(scope && reference, name);
    const light = lightCodec(scope);
    const check = (message: Record<string, unknown>): void => {
      const expected = reference.decode(reference.encode(message));
      const found = light.decode(reference.encode(message));
      assert.deepEqual(found, expected, name);
      assert.equal(shown(found), shown(expected), name);
      assert.deepEqual(reference.decode(light.encode(message)), expected, name);
    };
    fc.assert(fc.property(messageOf(type, 0), check), { numRuns: 10 });
  }
});

test("bytes that end early, or are too deep, are refused, and unknown fields left out", () => {
  const scope = scopeOf("containerd.services.tasks.v1.CreateTaskRequest");
  assert.ok(scope);
  const codec = lightCodec(scope);
  const whole = codec.encode({ containerId: "one", rootfs: [{ type: "overlay" }] });
  let refused = 0;
  for (let length = 0; length < whole.length; length++) {
    try {
      codec.decode(whole.subarray(0, length));
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
      refused += 1;
    }
  }
  assert.ok(refused > 5, `${refused} of ${whole.length}`);
  const unknown = Buffer.concat([whole, Buffer.from([0xfa, 0x3f, 2, 1, 2, 0xf8, 0x3f, 1])]);
  assert.deepEqual(codec.decode(unknown), codec.decode(whole));
});

test("a number of an enum that has no name stays a number", () => {
  const scope = scopeOf("runtime.v1.PodSandbox");
  assert.ok(scope);
  const reference = codecNamed("runtime.v1.PodSandbox");
  const bytes = Buffer.from([0x18, 77]);
  assert.deepEqual(lightCodec(scope).decode(bytes), reference?.decode(bytes));
});

function shown(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "bigint" ? String(inner) : inner,
  );
}
