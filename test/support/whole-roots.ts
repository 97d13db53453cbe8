// SPDX-License-Identifier: Apache-2.0
import protobuf from "protobufjs";
import { descriptor as containerdDescriptor } from "../../src/gen/containerd-descriptor.gen.js";
import { descriptor as criDescriptor } from "../../src/gen/cri-descriptor.gen.js";
import { descriptor as nriDescriptor } from "../../src/gen/nri-descriptor.gen.js";

const roots = new Map<object, protobuf.Root>();

/** The whole tree of messages and services that `fullName` is in. */
export function rootOf(fullName: string): protobuf.Root {
  const descriptor = fullName.startsWith("runtime.v1.")
    ? criDescriptor
    : fullName.startsWith("nri.pkg.api.v1alpha1.")
      ? nriDescriptor
      : containerdDescriptor;
  const root = roots.get(descriptor) ?? protobuf.Root.fromJSON(descriptor);
  roots.set(descriptor, root);
  return root;
}
