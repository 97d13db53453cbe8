// SPDX-License-Identifier: Apache-2.0
import type { INamespace } from "protobufjs";
import { descriptor as containerdDescriptor } from "../../gen/containerd-descriptor.gen.js";
import { descriptor as criDescriptor } from "../../gen/cri-descriptor.gen.js";

/** A node of a descriptor, as `npm run gen` writes it: a package, a message, an enum or a service. */
export interface Node {
  readonly nested?: Readonly<Record<string, Node>>;
  readonly fields?: Readonly<Record<string, FieldNode>>;
  readonly values?: Readonly<Record<string, number>>;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>;
  readonly methods?: Readonly<Record<string, MethodNode>>;
}

export interface FieldNode {
  readonly id: number;
  readonly type: string;
  readonly rule?: string;
  readonly keyType?: string;
}

export interface MethodNode {
  readonly requestType: string;
  readonly responseType: string;
  readonly requestStream?: boolean;
  readonly responseStream?: boolean;
}

/** A node and those above it, from the root: where names in it are looked for. */
export type Scope = readonly [...above: Node[], node: Node];

/** What a full name means; undefined when there is nothing of this name. NRI's are not known here. */
export function scopeOf(fullName: string): Scope | undefined {
  const descriptor: INamespace = fullName.startsWith("runtime.v1.")
    ? criDescriptor
    : containerdDescriptor;
  return below([descriptor as Node], fullName);
}

/** What a name means within a scope: the innermost wins, as in the language. */
export function resolved(scope: Scope, name: string): Scope {
  for (let depth = scope.length; depth > 0; depth--) {
    const found = below(scope.slice(0, depth) as unknown as Scope, name);
    if (found !== undefined) return found;
  }
  throw new TypeError(`no such type: ${name}`);
}

/** What a name means within the last node of a scope alone. */
export function below(scope: Scope, name: string): Scope | undefined {
  const found: [...Node[], Node] = [...scope];
  for (const part of name.split(".")) {
    const inner: Readonly<Record<string, Node>> = found.at(-1)?.nested ?? {};
    const node = Object.hasOwn(inner, part) ? inner[part] : undefined;
    if (node === undefined) return undefined;
    found.push(node);
  }
  return found;
}
