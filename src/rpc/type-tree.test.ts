// SPDX-License-Identifier: Apache-2.0
// Messages made one by one against those of the whole tree, as protobufjs makes it.
import assert from "node:assert/strict";
import { test } from "node:test";
import protobuf from "protobufjs";
import { rootOf } from "../../test/support/whole-roots.ts";
import { descriptor as containerdDescriptor } from "../gen/containerd-descriptor.gen.js";
import { descriptor as criDescriptor } from "../gen/cri-descriptor.gen.js";
import { descriptor as nriDescriptor } from "../gen/nri-descriptor.gen.js";
import { TypeTree } from "./type-tree.ts";

const descriptors = [
  [criDescriptor, "runtime.v1.RuntimeService"],
  [nriDescriptor, "nri.pkg.api.v1alpha1.Plugin"],
  [containerdDescriptor, "containerd.services.tasks.v1.Tasks"],
] as const;

function* nodesIn(node: protobuf.NamespaceBase): Generator<protobuf.Namespace> {
  for (const inner of node.nestedArray) {
    if (!(inner instanceof protobuf.Namespace)) continue;
    yield inner;
    yield* nodesIn(inner);
  }
}

/** What decides how a message is read and written, down to what its fields hold. */
function shapeOf(type: protobuf.Type): unknown {
  return {
    name: type.fullName,
    oneofs: type.oneofsArray.map(({ name, oneof }) => [name, oneof]),
    fields: type.fieldsArray.map((field) => ({
      name: field.name,
      id: field.id,
      type: field.type,
      key: "keyType" in field && field.keyType,
      holds: field.resolvedType?.fullName,
      values: "values" in (field.resolvedType ?? {}) && {
        ...(field.resolvedType as protobuf.Enum).values,
      },
      repeated: field.repeated,
      packed: field.packed,
      // For a field of a oneof it is that, whatever its type says.
      presence: (field.hasPresence as unknown) ? 1 : 0,
      default: field.typeDefault as unknown,
    })),
  };
}

for (const [descriptor, service] of descriptors) {
  const nodes = [...nodesIn(rootOf(service))];
  const types = nodes.filter((node) => node instanceof protobuf.Type);

  test(`each message of ${service}'s tree is the whole tree's, whatever was made before`, () => {
    assert.ok(types.length > 60, `${types.length} types`);
    const grown = new TypeTree(descriptor);
    for (const type of types.toReversed()) {
      const name = type.fullName.slice(1);
      for (const tree of [grown, new TypeTree(descriptor)]) {
        const made = tree.type(name);
        assert.ok(made, name);
        assert.deepEqual(shapeOf(made), shapeOf(type));
        assert.ok(tree.type(name) === made, `${name} is made once`);
      }
    }
  });

  test(`methods of services in ${service}'s tree`, () => {
    const services = nodes.filter((node) => node instanceof protobuf.Service);
    assert.ok(services.length > 1);
    for (const one of services) {
      const expected = one.methodsArray.map((method) => ({
        name: method.name,
        request: method.resolvedRequestType?.fullName.slice(1),
        response: method.resolvedResponseType?.fullName.slice(1),
        requestStream: method.requestStream === true,
        responseStream: method.responseStream === true,
      }));
      assert.deepEqual(new TypeTree(descriptor).methods(one.fullName.slice(1)), expected);
    }
  });
}

test("names that others chose are no message, and leave nothing", () => {
  const tree = new TypeTree(criDescriptor);
  const odd = [
    "",
    ".",
    "runtime",
    "runtime.v1",
    "runtime.v1.RuntimeService",
    "VersionRequest",
    "v1.VersionRequest",
  ];
  const longs = [
    `runtime.v1.${"a.".repeat(10_000)}`,
    "x".repeat(300),
    "runtime.v1.VersionRequest.fields",
  ];
  for (const name of [
    ...odd,
    ...longs,
    "__proto__",
    "runtime.v1.constructor",
    "runtime.v1.NamespaceMode",
  ]) {
    assert.equal(tree.type(name), undefined, name.slice(0, 40));
  }
  assert.ok(tree.type("runtime.v1.VersionRequest"));
});
